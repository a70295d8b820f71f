"""A document that is sent as it is, unless the client has it already."""

from hashlib import sha256
from typing import final

from fastapi.requests import Request
from fastapi.responses import Response

from app.http.etags import matches


@final
class Document:
    """A JSON document that does not change, with its entity tag."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._etag = f'"{sha256(content).hexdigest()}"'

    def answer(self, request: Request) -> Response:
        """Return it, or say that the client has it already."""
        headers = {"etag": self._etag, "cache-control": "no-cache"}
        if matches(request.headers.get("if-none-match"), self._etag):
            return Response(status_code=304, headers=headers)
        return Response(self._content, media_type="application/json", headers=headers)
