"""The page at `/` that shows a served model: its files and their routes."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.requests import Request
from fastapi.responses import Response

from app.http import static_files
from app.http.static_files import INDEX, StaticFile

FOLDER = Path(__file__).parent
POLICY = static_files.policy(images="'self'")


def files() -> dict[str, StaticFile]:
    """Read every file of the page, by name."""
    return static_files.read(FOLDER, POLICY)


def explorer() -> APIRouter:
    """Return the routes of the page: `/`, and its files under `/explorer/`."""
    routes = APIRouter(include_in_schema=False)
    served = files()

    @routes.get("/")
    @routes.head("/")
    async def index(request: Request) -> Response:
        return await static_files.respond(request, served, INDEX)

    @routes.get("/explorer/{name}")
    @routes.head("/explorer/{name}")
    async def file(request: Request, name: str) -> Response:
        return await static_files.respond(request, served, name)

    return routes
