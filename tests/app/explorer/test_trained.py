"""The page on models as people train them: of digits, a table, color images."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model.train.command import main
from tests.app.explorer.explored import (
    ARTIFACTS,
    PANELS,
    PANELS_OF_CELLS,
    ROOT,
    Opened,
    painted,
    settled,
    shown,
)
from tests.app.live import serving

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
SIDE = 12
pytestmark = [
    pytest.mark.slow("trains models and shows their pages in a browser"),
    pytest.mark.usefixtures("browser"),
]  # before anything is trained


def discs(n: int, *, seed: int) -> NDArray[np.uint8]:
    """Return images of one disc each: place, size, color and ground at random."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    center = rng.uniform(3, SIDE - 4, (n, 2, 1, 1))
    radius = rng.uniform(2, 4, (n, 1, 1))
    distance = np.hypot(y - center[:, 0], x - center[:, 1])
    inside = np.clip(radius - distance + 0.5, 0, 1)[..., None]
    ink, ground = rng.uniform(0.4, 1, (n, 1, 1, 3)), rng.uniform(0, 0.4, (n, 1, 1, 3))
    images: NDArray[np.uint8] = np.rint(
        255 * (inside * ink + (1 - inside) * ground)
    ).astype(np.uint8)
    return images


def train(out: Path, data: str, options: str) -> Path:
    """Train as on the command line, for a second; return the checkpoint."""
    arguments = f"--data {data} --out {out} --no-compile --threads 1 {options}"
    assert main(arguments.split()) == 0
    return out


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a model of the digits, as `make serve` does."""
    out = tmp_path_factory.mktemp("digits") / "digits"
    with serving(train(out, "digits", "--hidden 64 --epochs 30")) as address:
        yield address


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a Gaussian model of scikit-learn's breast cancer data."""
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415  takes a second

    x, y = load_breast_cancer(return_X_y=True)
    data = tmp_path_factory.mktemp("table") / "breast_cancer.npz"
    np.savez(data, allow_pickle=False, x=x, y=y)
    options = "--likelihood gaussian --hidden 32 --latent-dim 6 --epochs 30"
    with serving(train(data.with_suffix(""), str(data), options)) as address:
        yield address


@pytest.fixture(scope="module")
def colors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a model of color images."""
    data = tmp_path_factory.mktemp("colors") / "discs.npy"
    np.save(data, discs(600, seed=1))
    options = "--likelihood continuous_bernoulli --hidden 64 --latent-dim 5 --epochs 30"
    with serving(train(data.with_suffix(""), str(data), options)) as address:
        yield address


@pytest.fixture(scope="module")
def cells() -> Iterator[str]:
    """Serve the released model of penguins, a table of mixed kinds."""
    with serving(ROOT / "released" / "penguins") as address:
        yield address


def test_a_table_has_no_pictures(opened: Callable[..., Opened], table: str) -> None:
    """Thirty columns are lines and numbers; an edit changes the bound as it should."""
    page, address, complaints, requested = opened(table)

    with page.expect_response("**/elbo") as response:
        page.get_by_label("x 3", exact=True).fill("20000")
    settled(page)
    ranked = page.locator("#standing").inner_text()
    bound = response.value.json()["elbo"][0]

    assert page.locator(".pad").count() == 0
    assert page.locator("#input tbody tr").count() == 30
    assert page.locator("#binarize-field").is_hidden()
    assert page.locator("#terms .dd").first.text_content() == shown(bound)
    assert ranked.startswith("Below all")
    assert page.locator("#legend li").all_text_contents() == ["0", "1"]
    assert painted(page, "#grid") > 2
    assert all(url.startswith(address) for url in requested)
    assert complaints == []


def test_colors_are_drawn_in_color(opened: Callable[..., Opened], colors: str) -> None:
    """A stroke has the ink's three channels; what comes back is of colors too."""
    page, _, complaints, _ = opened(colors)
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Soft").uncheck()
    page.locator(".tools [type=color]").fill("#ff0080")
    settled(page)
    box = page.locator(".pad").bounding_box()

    with page.expect_request("**/encode") as request:
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    settled(page)
    x = np.reshape(request.value.post_data_json["x"][0], (SIDE, SIDE, 3))
    inked = x[x.any(axis=-1)]
    gray = page.locator("#dreams canvas").first.evaluate(
        """(canvas) => canvas.getContext("2d")
            .getImageData(0, 0, canvas.width, canvas.height).data
            .every((v, i, all) => i % 4 === 3 || v === all[i - (i % 4)])"""
    )

    np.testing.assert_allclose(np.unique(inked, axis=0), [[1, 0, 0.502]], atol=1e-3)
    assert not gray
    assert page.locator("#legend li").count() == 0
    assert page.locator("#points-field").is_visible()
    assert complaints == []


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["digits", "table", "colors", "cells"])
def test_pictures_of_the_page_are_kept(
    opened: Callable[..., Opened],
    request: pytest.FixtureRequest,
    name: str,
    viewport: dict[str, int],
) -> None:
    """In light and dark, at two widths; nothing sticks out, every panel is filled."""
    page, _, complaints, _ = opened(
        request.getfixturevalue(name), viewport=viewport, color_scheme="light"
    )
    panels = PANELS
    if name == "cells":
        panels = PANELS_OF_CELLS
        page.get_by_label("x bill_length_mm").fill("")
        page.locator("#fill").click()
        page.locator("#filled").wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        settled(page)

        file = ARTIFACTS / f"{name}-{scheme}-{viewport['width']}.png"
        page.screenshot(path=file, full_page=True)

        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert page.locator("section:visible").count() == len(panels)
    assert complaints == []
