"""The page at `/` that shows a served model: its files and their routes."""

from pathlib import Path

from fastapi import APIRouter

from app.http import static_files
from app.http.static_files import StaticFile

FOLDER = Path(__file__).parent
POLICY = static_files.policy(images="'self'")


def files() -> dict[str, StaticFile]:
    """Read every file of the page, by name."""
    return static_files.read(FOLDER, POLICY)


def explorer() -> APIRouter:
    """Return the routes of the page: `/`, and its files under `/explorer/`."""
    return static_files.routes("/", "/explorer", files())
