"""Static responses: computed once for a model, with an entity tag."""

from http import HTTPStatus
from typing import final

from app.errors import Headers
from app.http.compression import ConstantText
from app.http.etags import matches
from app.http.request import Request
from app.http.response import Response

NO_SNIFFING: Headers = ((b"x-content-type-options", b"nosniff"),)


@final
class StaticDocument:
    """An endpoint that serves a constant JSON document with an entity tag."""

    def __init__(self, content: bytes) -> None:
        self._text = ConstantText(content)

    async def __call__(self, request: Request) -> Response:
        """Return the document, or 304 if the client has the current version."""
        content, etag, coding = await self._text.variant(request.fields)
        headers = (
            (b"etag", etag.encode()),
            (b"cache-control", b"no-cache"),
            *coding,
            *NO_SNIFFING,
        )
        known = request.headers.get(b"if-none-match", b"").decode("latin-1")
        if matches(known, etag):
            status = HTTPStatus.NOT_MODIFIED
            return Response(b"", [], status=status, headers=headers)
        return Response(b"application/json", [content], headers=headers)


def plain_text(
    text: bytes, media_type: bytes = b"text/plain; charset=utf-8"
) -> Response:
    """Return a response with a short text."""
    return Response(media_type, [text], headers=NO_SNIFFING)
