"""The page at `/docs` in a browser: it is all there without a network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.explorer.explored import SECONDS, serving


@pytest.fixture(scope="module")
def address(checkpoints: Path) -> Iterator[str]:
    """Serve a model."""
    with serving(checkpoints / "bernoulli") as address:
        yield address


def test_the_page_asks_its_own_origin_alone(browser: Any, address: str) -> None:
    """Script, style, icon and document come from the service, and none is refused."""
    page = browser.new_page()
    complaints: list[str] = []
    requested: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))

    page.goto(f"{address}/docs")
    page.wait_for_selector(".opblock", timeout=1000 * SECONDS)

    assert complaints == []
    assert f"{address}/openapi.json" in requested
    assert [url for url in requested if not url.startswith((address, "data:"))] == []
    assert page.locator(".opblock").count() >= 18
    page.close()
