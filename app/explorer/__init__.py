"""The page at `/` that shows a served model: its files, read once, and their routes."""

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, final

from fastapi import APIRouter
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
}
# What the page may load: its own files and answers of its own server, nothing else.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


@final
class File(NamedTuple):
    """A file of the page, with the headers it is served under."""

    content: bytes
    headers: dict[str, str]


def files() -> dict[str, File]:
    """Read every file of the page, by name."""
    return {
        path.name: _file(path)
        for path in sorted(Path(__file__).parent.iterdir())
        if path.suffix in _MEDIA_TYPES
    }


def explorer() -> APIRouter:
    """Return the routes of the page: `/`, and what it loads from `/explorer/`."""
    routes = APIRouter(include_in_schema=False)
    served = files()

    @routes.get("/")
    @routes.head("/")
    async def index(request: Request) -> Response:
        return _answer(request, served[INDEX])

    @routes.get("/explorer/{name}")
    @routes.head("/explorer/{name}")
    async def file(request: Request, name: str) -> Response:
        if name not in served:
            raise NotFoundError("there is nothing at this path")
        return _answer(request, served[name])

    return routes


def _file(path: Path) -> File:
    content = path.read_bytes()
    return File(
        content,
        {
            "content-type": _MEDIA_TYPES[path.suffix],
            "etag": f'"{sha256(content).hexdigest()}"',
            "cache-control": "no-cache",
            "content-security-policy": POLICY,
            "referrer-policy": "no-referrer",
        },
    )


def _answer(request: Request, file: File) -> Response:
    if matches(request.headers.get("if-none-match"), file.headers["etag"]):
        return Response(status_code=304, headers=file.headers)
    return Response(file.content, headers=file.headers)
