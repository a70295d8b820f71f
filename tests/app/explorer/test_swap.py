"""The service loads another model while its page is open."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import plain_http
from tests.app.explorer.explored import MODELS, Opened, save, settled
from tests.app.live import serving
from tests.app.processes import SECONDS, until

pytestmark = pytest.mark.slow("shows pages in a browser")

SHOWN = ("#reconstruction", "#dialled", "#dreams", "#grid")
CONTENT_OF = """(place) => [...document.querySelectorAll(`${place}, ${place} canvas`)]
    .map((element) => element.toDataURL?.() ?? element.textContent)"""


def version_at(address: str) -> str:
    """Return the version of the model that is served."""
    found: str = plain_http.get(f"{address}/livez", timeout=SECONDS).headers[
        "x-model-version"
    ]
    return found


@pytest.mark.parametrize(
    ("first", "then"),
    [("pictures", "table"), ("table", "pictures"), ("pictures", "few")],
    ids=["to-a-table", "to-pictures", "to-another-J"],
)
def test_the_page_paints_nothing_of_another_model_and_offers_to_reload(
    opened: Callable[..., Opened], tmp_path: Path, first: str, then: str
) -> None:
    """A new shape or a new J is no number of the model that is shown."""
    served, later = tmp_path / "served", tmp_path / "later"
    served.symlink_to(save(tmp_path, first))
    later.symlink_to(save(tmp_path, then))
    with serving(served, watch_seconds=0.1) as address:
        page, _, _, _ = opened(address)
        version = version_at(address)
        before = [page.evaluate(CONTENT_OF, selector) for selector in SHOWN]

        later.replace(served)
        until(lambda: version_at(address) != version)
        page.locator("#sliders input").first.fill("1.5")
        page.locator("#other").wait_for()
        settled(page)

        assert before == [page.evaluate(CONTENT_OF, selector) for selector in SHOWN]
        assert "NaN" not in page.locator("main").inner_text()
        page.locator("#reload").click()
        page.locator("#other").wait_for(state="hidden")
        page.wait_for_selector("#scale svg")
        settled(page)
        _, _, latent_dim = MODELS[then]
        assert page.locator("#latents rect.kl").count() == latent_dim
        assert page.locator(".error:visible").count() == 0
