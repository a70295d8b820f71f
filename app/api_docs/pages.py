"""The page at `/docs`: Swagger UI, allowed to load what it needs and nothing else."""

import re
from base64 import b64encode
from hashlib import sha256

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

_CDN = "https://cdn.jsdelivr.net"
_ICON = "https://fastapi.tiangolo.com"


def docs(title: str) -> APIRouter:
    """Return the route of the API's page."""
    routes = APIRouter()
    # Relative, so that it is right behind any prefix.
    page = get_swagger_ui_html(openapi_url="./openapi.json", title=title).body
    html = bytes(page).decode()
    headers = {
        "content-security-policy": _policy(html),
        "referrer-policy": "no-referrer",
        "x-frame-options": "DENY",
    }

    @routes.get("/docs", include_in_schema=False)
    @routes.head("/docs", include_in_schema=False)
    async def page_of_the_api() -> HTMLResponse:
        return HTMLResponse(html, headers=headers)

    return routes


def _policy(html: str) -> str:
    """Return the Content-Security-Policy of a page; of inline scripts, only its own."""
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    hashes = " ".join(
        f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return (
        f"default-src 'none'; script-src {_CDN} {hashes}; "
        # blob: is how the page shows an answer that is an image.
        f"style-src {_CDN} 'unsafe-inline'; img-src 'self' data: blob: {_ICON}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
