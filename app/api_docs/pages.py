"""The page at `/docs`: Swagger UI from bundled files, so that it works offline."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.requests import Request
from fastapi.responses import Response

from app.http import static_files
from app.http.static_files import INDEX, StaticFile

FOLDER = Path(__file__).parent / "swagger_ui"
# The style sheet has icons as data: URLs, and image responses are blob: URLs.
POLICY = static_files.policy(images="'self' data: blob:")


def files() -> dict[str, StaticFile]:
    """Read every file of the page, by name."""
    return static_files.read(FOLDER, POLICY)


def docs() -> APIRouter:
    """Return the routes of the page: `/docs`, and its files under `/docs/`."""
    routes = APIRouter(include_in_schema=False)
    served = files()

    @routes.get("/docs")
    @routes.head("/docs")
    async def index(request: Request) -> Response:
        return await static_files.respond(request, served, INDEX)

    @routes.get("/docs/{name}")
    @routes.head("/docs/{name}")
    async def file(request: Request, name: str) -> Response:
        return await static_files.respond(request, served, name)

    return routes
