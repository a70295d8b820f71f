"""The page at `/docs`: Swagger UI from bundled files, so that it works offline."""

from pathlib import Path

from fastapi import APIRouter

from app.http import static_files
from app.http.static_files import StaticFile

FOLDER = Path(__file__).parent / "swagger_ui"
# The style sheet has icons as data: URLs, and image responses are blob: URLs.
POLICY = static_files.policy(images="'self' data: blob:")


def files() -> dict[str, StaticFile]:
    """Read every file of the page, by name."""
    return static_files.read(FOLDER, POLICY)


def docs() -> APIRouter:
    """Return the routes of the page: `/docs`, and its files under `/docs/`."""
    return static_files.routes("/docs", "/docs", files())
