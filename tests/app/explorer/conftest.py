"""For each module of tests of the page: each model served once."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.app.explorer.explored import (
    MAX_ROWS,
    SECONDS,
    Opened,
    save,
    settled,
)
from tests.app.live import serving


@pytest.fixture(scope="module")
def addresses(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], str]]:
    """Serve each model that is asked for, once."""
    directory = tmp_path_factory.mktemp("explored")
    running: dict[str, Any] = {}
    found: dict[str, str] = {}

    def address(name: str) -> str:
        if name not in found:
            limits = {"max_rows": MAX_ROWS} if name == "limited" else {}
            running[name] = serving(save(directory, name), **limits)
            found[name] = running[name].__enter__()
        return found[name]

    yield address
    for one in running.values():
        one.__exit__(None, None, None)


@pytest.fixture
def opened(
    browser: Any, addresses: Callable[[str], str]
) -> Iterator[Callable[..., Opened]]:
    """Return what opens a model's page, or one at an address, and waits for it all."""
    contexts = []

    def open_(name: str, **options: Any) -> Opened:
        address = name if name.startswith("http") else addresses(name)
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * SECONDS)
        complaints: list[str] = []
        requested: list[str] = []
        page.on("console", lambda m: complaints.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requested.append(request.url))
        page.goto(address)
        page.wait_for_selector("#scale svg")
        settled(page)
        return Opened(page, address, complaints, requested)

    yield open_
    for context in contexts:
        context.close()
