"""The page at `/docs` in a browser: all of it runs as it stands, without a network."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.explorer.explored import ARTIFACTS, SECONDS, save
from tests.app.live import serving

ROOT = Path(__file__).parents[3]
# Digits, MNIST as it is released, a table, images in color, and a model with all calls.
MODELS = ["pictures", "released", "table", "colors", "planes"]
NOT_HERE = "(not with this model)"


@pytest.fixture(scope="module")
def address(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], str]]:
    """Serve the models that are asked for, one at a time."""
    folder = tmp_path_factory.mktemp("docs")
    running: list[Any] = []

    def address_of(name: str) -> str:
        stop()
        path = ROOT / "released/mnist" if name == "released" else save(folder, name)
        running.append(serving(path))
        address: str = running[0].__enter__()
        return address

    def stop() -> None:
        while running:
            running.pop().__exit__(None, None, None)

    yield address_of
    stop()


@pytest.mark.slow("shows pages in a browser")
@pytest.mark.parametrize("model", MODELS)
def test_execute_runs_on_every_operation_as_it_stands(
    browser: Any, address: Callable[[str], str], model: str
) -> None:
    """Each answers 200, or says before one presses that it is not for this model."""
    at = address(model)
    page = browser.new_page()
    page.set_default_timeout(10 * 1000 * SECONDS)
    requested: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{at}/docs")
    page.wait_for_selector(".opblock")
    names = page.locator(".opblock").evaluate_all("all => all.map((one) => one.id)")

    statuses = {}
    for name in names:
        block = page.locator(f"#{name}")
        if NOT_HERE in block.locator(".opblock-summary").inner_text():
            statuses[name] = NOT_HERE
            continue
        block.locator(".opblock-summary-control").click()
        block.locator(".try-out__btn").click()
        block.locator(".execute").click()
        status = block.locator(".live-responses-table .response-col_status").nth(1)
        statuses[name] = status.inner_text().split()[0]
        block.locator(".opblock-summary-control").click()
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"docs-{model}.png")
    page.close()

    assert {name: s for name, s in statuses.items() if s not in ("200", NOT_HERE)} == {}
    assert len(statuses) >= 18
    assert list(statuses.values()).count(NOT_HERE) <= 2
    assert complaints == []
    assert f"{at}/openapi.json" in requested
    own = (at, "data:", f"blob:{at}")
    assert [url for url in requested if not url.startswith(own)] == []
