"""Serves the files of a page, with headers that forbid loading from other origins."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, final

from fastapi.requests import Request
from fastapi.responses import Response

from app.errors import NotFoundError
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
    """A file of a page, with its response headers."""

    content: bytes
    headers: dict[str, str]


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


def respond(request: Request, files: Mapping[str, StaticFile], name: str) -> Response:
    """
    Return the response with a file, or 304 if the client has the current version.

    Raises:
        NotFoundError: There is no file of this name.
    """
    if name not in files:
        raise NotFoundError("there is no resource at this path")
    file = files[name]
    if matches(request.headers.get("if-none-match"), file.headers["etag"]):
        return Response(status_code=304, headers=file.headers)
    return Response(file.content, headers=file.headers)


def _file(path: Path, policy: str) -> StaticFile:
    content = path.read_bytes()
    return StaticFile(
        content,
        {
            "content-type": _MEDIA_TYPES[path.suffix],
            "etag": f'"{sha256(content).hexdigest()}"',
            "cache-control": "no-cache",
            "content-security-policy": policy,
            "referrer-policy": "no-referrer",
            "x-frame-options": "DENY",  # for browsers without frame-ancestors
        },
    )
