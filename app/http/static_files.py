"""Serves the files of a page, with headers that forbid loading from other origins."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, final

from fastapi import APIRouter
from fastapi.requests import Request
from fastapi.responses import Response

from app.errors import NotFoundError
from app.http.compression import ConstantText
from app.http.etags import matches

INDEX = "index.html"
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@final
class StaticFile(NamedTuple):
    """A file of a page, with its response headers except those of its variant."""

    text: ConstantText
    headers: dict[str, str]

    @property
    def content(self) -> bytes:
        """The content, not compressed."""
        return self.text.plain.content


def policy(images: str) -> str:
    """
    Return a Content-Security-Policy that allows only the page's own origin.

    Args:
        images: The sources that are allowed for images.
    """
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src {images}",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def read(folder: Path, policy: str) -> dict[str, StaticFile]:
    """Read every file of a page, by name."""
    return {
        path.name: _file(path, policy)
        for path in sorted(folder.iterdir())
        if path.suffix in _MEDIA_TYPES
    }


def routes(page: str, folder: str, files: Mapping[str, StaticFile]) -> APIRouter:
    """Return the routes of a page, and of its files under `folder`."""
    router = APIRouter(include_in_schema=False)

    @router.get(page)
    @router.head(page)
    async def index(request: Request) -> Response:
        return await _respond(request, files, INDEX)

    @router.get(f"{folder}/{{name}}")
    @router.head(f"{folder}/{{name}}")
    async def file(request: Request, name: str) -> Response:
        return await _respond(request, files, name)

    return router


async def _respond(
    request: Request, files: Mapping[str, StaticFile], name: str
) -> Response:
    """
    Return the response with a file, or 304 if the client has the current version.

    Raises:
        NotFoundError: There is no file of this name.
    """
    if name not in files:
        raise NotFoundError("there is no resource at this path")
    file = files[name]
    content, etag, coding = await file.text.variant(request.headers.raw)
    more = {name.decode(): value.decode() for name, value in coding}
    headers = {**file.headers, **more, "etag": etag}
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers)


def _file(path: Path, policy: str) -> StaticFile:
    return StaticFile(
        ConstantText(path.read_bytes()),
        {
            "content-type": _MEDIA_TYPES[path.suffix],
            "cache-control": "no-cache",
            "content-security-policy": policy,
            "referrer-policy": "no-referrer",
            "x-frame-options": "DENY",  # for browsers without frame-ancestors
        },
    )
