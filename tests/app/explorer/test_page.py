"""The page at `/` in a browser, on models of pictures and of rows."""

import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import NormalDist
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from app.calls.model import PHI, THETA
from app.keys import line_of
from tests import plain_http
from tests.app.explorer.explored import (
    LABELS,
    MODELS,
    N_ROWS,
    PANELS,
    PANELS_OF_CELLS,
    SECONDS,
    Opened,
    painted,
    save,
    settled,
    shown,
)
from tests.app.live import serving

pytestmark = pytest.mark.slow("shows pages in a browser")


class Frame:
    """What the client needs of a data frame of pandas."""

    def __init__(self, data: list[dict[str, Any]] | dict[str, Any]) -> None:
        if isinstance(data, list):
            data = {name: [row[name] for row in data] for name in data[0]}
        self._data = data
        self.columns = list(self._data)

    def __getitem__(self, name: str) -> Any:
        return self._data[name]


SHOWN_AS_TABLES = {"cells", "table"}
LITTLE_PANDAS: Any = ModuleType("pandas")
LITTLE_PANDAS.DataFrame = Frame


@pytest.mark.parametrize("name", MODELS)
def test_the_page_shows_each_kind_of_model(
    opened: Callable[..., Opened], name: str
) -> None:
    """Nothing is complained of, nothing asked of others, and every panel is filled."""
    page, address, complaints, requested = opened(name)
    _, _, latent_dim = MODELS[name]
    panels = PANELS_OF_CELLS if name == "cells" else PANELS
    panels = [panel for panel in panels if latent_dim > 1 or panel != "map"]

    assert complaints == []
    assert all(url.startswith(address) for url in requested)
    assert page.locator(".error:visible").count() == 0
    assert page.locator("#latents rect.kl").count() == latent_dim
    assert page.locator("#sliders input").count() == min(8, latent_dim)
    assert page.locator("section:visible").count() == len(panels)
    assert page.locator("#terms .dd").count() == 3
    pictures = ["#grid"] * (latent_dim > 1)
    if name not in SHOWN_AS_TABLES:
        pictures += ["#reconstruction", "#dialled", "#dreams canvas"]
        pictures += ["#lens"] * (latent_dim > 1)
    for selector in pictures:
        assert painted(page, selector) > 2
    assert page.locator("canvas:visible").count() >= len(pictures)


def test_the_terms_are_those_of_the_service(opened: Callable[..., Opened]) -> None:
    """ELBO, log likelihood and KL are what /elbo answers, and the ELBO is ranked."""
    page, address, _, _ = opened("pictures")
    x = page.request.get(f"{address}/examples").json()["x"][:1]
    body = {"x": x, "n_samples": 16, "seed": 1, "binarize": "threshold"}
    answer = page.request.post(f"{address}/elbo", data=body).json()

    terms = page.locator("#terms .dd").all_text_contents()
    standing = page.locator("#standing").text_content()

    wanted = [answer[name][0] for name in ("elbo", "log_likelihood", "kl")]
    assert terms == [shown(value) for value in wanted]
    percent = int((answer["elbo"][0] + 90) / 0.8)  # scores are even from 10 to 90
    assert f"Above about {percent} % of 50 validation rows" in standing


def test_the_pointer_draws(opened: Callable[..., Opened]) -> None:
    """A stroke over the cleared pad is asked about: ink along it, paper beside it."""
    page, _, complaints, _ = opened("pictures")
    page.get_by_role("button", name="Clear").click()
    settled(page)
    box = page.locator(".pad").bounding_box()
    asked: list[tuple[str, str]] = []
    page.on("request", lambda request: asked.append((request.url, request.post_data)))

    page.mouse.move(box["x"] + 0.19 * box["width"], box["y"] + 0.56 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.81 * box["width"], box["y"] + 0.56 * box["height"])
    page.mouse.up()
    settled(page)
    encoded = [json.loads(body) for url, body in asked if url.endswith("/encode")]
    x = np.reshape(encoded[-1]["x"][0], (8, 8))

    assert x[4, 1:7].tolist() == [1] * 6
    assert x[[0, 1, 7]].sum() == 0
    assert set(np.unique(x)) == {0, 1}
    assert complaints == []


@pytest.mark.parametrize("name", ["pictures", "colors"])
def test_a_stroke_shows_its_reconstruction(
    opened: Callable[..., Opened], name: str
) -> None:
    """E[x|z] at mu of what is drawn takes the place of the one before."""
    page, _, _, _ = opened(name)
    shot = "() => document.getElementById('reconstruction').toDataURL()"
    before = page.evaluate(shot)
    box = page.locator(".pad").bounding_box()

    with (
        page.expect_response("**/encode") as encoded,
        page.expect_request("**/decode") as decoded,
    ):
        page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.4 * box["height"])
    mu = encoded.value.json()["mu"]
    settled(page)
    after = page.evaluate(shot)
    page.locator("#examples button").first.click()
    settled(page)

    assert decoded.value.post_data_json["z"] == mu
    assert after != before
    assert page.evaluate(shot) == before


def test_the_keyboard_draws(opened: Callable[..., Opened]) -> None:
    """Arrows move, Space paints, Shift paints on the way, Delete erases."""
    page, _, _, _ = opened("pictures")
    page.get_by_role("button", name="Clear").click()
    page.locator(".pad").focus()

    for key in ("ArrowUp", "Space", "Shift+ArrowRight", "ArrowDown", "Space"):
        page.keyboard.press(key)
    with page.expect_request("**/encode") as request:
        page.keyboard.press("Delete")
    settled(page)
    page.get_by_role("button", name="as Python").first.click()
    x = np.reshape(request.value.post_data_json["x"][0], (8, 8))

    assert page.locator(".cursor").evaluate("(e) => e.style.top") == "50%"
    assert np.argwhere(x).tolist()[:2] == [[3, 4], [3, 5]]
    assert "x = [[0, 0, 0" in page.locator("#code-text").text_content()


def test_the_latest_wins(opened: Callable[..., Opened]) -> None:
    """A request that is overtaken is aborted, and its panel shows the later answer."""
    page, _, _, _ = opened("pictures")
    held: list[Any] = []
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url))

    def hold_the_first(route: Any) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/elbo", hold_the_first)
    page.locator("#n-samples").select_option("1")
    while not held:
        page.wait_for_timeout(10)  # until the first one is on its way
    with page.expect_response("**/elbo") as response:
        page.locator("#n-samples").select_option("100")
    settled(page)

    assert [url.rsplit("/", 1)[1] for url in failed] == ["elbo"]
    assert response.value.json()["n_samples"] == 100
    wanted = shown(response.value.json()["elbo"][0])
    assert page.locator("#terms .dd").first.text_content() == wanted


def test_errors_are_told_with_their_request(opened: Callable[..., Opened]) -> None:
    """Gray values under a Bernoulli: the problem's words, its pointer and its id."""
    page, _, _, _ = opened("pictures")
    page.locator("#binarize").select_option("")
    page.get_by_label("Soft").check()
    box = page.locator(".pad").bounding_box()

    with page.expect_response("**/elbo") as response:
        page.mouse.click(box["x"] + 30.3, box["y"] + 41.7)
    error = page.locator("#bound .error")
    error.wait_for()
    settled(page)
    problem = response.value.json()
    message = error.text_content()
    page.locator("#binarize").select_option("threshold")
    error.wait_for(state="hidden")

    assert response.value.status == 422
    assert problem["errors"][0]["detail"] in message
    assert problem["errors"][0]["pointer"] in message
    assert "422 Unprocessable" in message
    assert problem["request_id"].split("-")[0] in message


def test_the_map_is_one_request_and_sets_the_dials(
    opened: Callable[..., Opened],
) -> None:
    """A change of its axes asks once for all cells; a click moves the dials there."""
    page, _, complaints, _ = opened("pictures")

    with page.expect_request("**/decode") as request:
        page.locator("#across").select_option(index=3)
    n_cells = len(request.value.post_data_json["z"])
    settled(page)
    page.locator("#plane").scroll_into_view_if_needed()
    box = page.locator("#plane").bounding_box()
    page.mouse.click(box["x"] + 0.99 * box["width"], box["y"] + 0.5 * box["height"])
    settled(page)
    moved = page.locator("#sliders output").nth(3).text_content()
    page.locator("#plane").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    settled(page)
    by_key = page.locator("#sliders output").nth(3).text_content()

    assert n_cells == 15 * 15
    assert moved == shown(1.83, 2)  # the standard normal's quantile at 14.5 / 15
    assert by_key == shown(1.28, 2)  # at 13.5 / 15
    assert page.locator("#dots .dot").count() == N_ROWS
    assert page.locator("#legend li").all_text_contents() == ["0", "1", "2"]
    assert complaints == []


def test_latents_under_a_learned_prior_are_its_own(
    opened: Callable[..., Opened],
) -> None:
    """Shown as the model has them; dials, map and KL go by the prior's mean, sigma."""
    page, address, complaints, _ = opened("learned")
    prior = plain_http.get(f"{address}/model", timeout=SECONDS).json()["prior"]
    mean, sigma = (np.array(prior[k]) for k in ("mean", "standard_deviation"))

    with page.expect_request("**/decode") as asked:
        page.locator("#to-mean").click()
    settled(page)
    with page.expect_request("**/decode") as mapped:
        page.locator("#across").select_option(index=1)
    with page.expect_request("**/encode") as encoded:
        page.locator("#numbers summary").click()
        page.locator("#examples button").nth(1).click()
    settled(page)

    np.testing.assert_allclose(asked.value.post_data_json["z"][0], mean, atol=1e-6)
    z = np.array(mapped.value.post_data_json["z"])
    size = math.isqrt(len(z))
    reach = NormalDist().inv_cdf(1 - 0.5 / size)
    np.testing.assert_allclose(z.max(axis=0), mean + reach * sigma, atol=1e-5)
    np.testing.assert_allclose(z.min(axis=0), mean - reach * sigma, atol=1e-5)
    for j in range(2):
        dial = page.locator(f"#dial-{j}")
        ends = [float(dial.get_attribute(end)) for end in ("min", "max")]
        assert ends[0] <= mean[j] - 3 * sigma[j] < mean[j] + 3 * sigma[j] <= ends[1]
    encoded_again = plain_http.post(
        f"{address}/encode", json=encoded.value.post_data_json, timeout=SECONDS
    ).json()
    mu, log_var = (np.array(encoded_again[k][0]) for k in ("mu", "log_var"))
    ratio = np.exp(log_var) / sigma**2
    kl = 0.5 * (((mu - mean) / sigma) ** 2 + ratio - 1 - np.log(ratio))
    cells = page.locator("#numbers tbody td").all_inner_texts()
    wanted = np.stack([mu, np.exp(log_var / 2), kl], axis=1)
    for j, row in enumerate(wanted):
        assert cells[4 * j + 1 : 4 * j + 4] == [shown(v, 3) for v in row]
    assert "use the normal of its mean" in page.locator("#prior").inner_text()
    assert "KL to the band\u2019s normal, nats" in page.locator("#latents").inner_text()
    assert complaints == []


def test_draws_are_normal_and_repeat(opened: Callable[..., Opened]) -> None:
    """At mu + sigma eps: over seeds eps has mean 0, variance 1; seeds give it again."""
    page, address, _, _ = opened("pictures")
    x = page.request.get(f"{address}/examples").json()["x"][:1]
    q = page.request.post(f"{address}/encode", data={"x": x}).json()
    mu, sigma = np.array(q["mu"][0]), np.exp(np.array(q["log_var"][0]) / 2)

    def draws(seed: int) -> Any:
        with page.expect_request("**/decode") as request:
            page.locator("#draws-seed").fill(str(seed))
            page.locator("#draws-seed").press("Enter")
        settled(page)
        return (np.array(request.value.post_data_json["z"]) - mu) / sigma

    eps = np.stack([draws(seed) for seed in range(2, 22)])  # (20, 8, 10)

    np.testing.assert_array_equal(draws(2), eps[0])
    n = eps.size
    assert abs(eps.mean()) < 4 / np.sqrt(n)
    assert abs((eps**2).mean() - 1) < 4 * np.sqrt(2 / n)
    assert abs((eps[1:] * eps[:-1]).mean()) < 4 / np.sqrt(n)
    assert np.unique(eps.round(4)).size > 0.95 * n


def test_dials_reset_follow_and_repeat(opened: Callable[..., Opened]) -> None:
    """0 is the prior's mean, To mu(x) is the code, a seed gives the same z again."""
    page, _, _, _ = opened("pictures")
    outputs = page.locator("#sliders output")
    at_mu = outputs.all_text_contents()

    page.get_by_role("button", name="Reset").click()
    at_zero = outputs.all_text_contents()
    page.get_by_role("button", name="Random").click()
    settled(page)
    random = outputs.all_text_contents()
    page.locator("#dials-seed").fill("1")
    page.get_by_role("button", name="Random").click()
    settled(page)
    again = outputs.all_text_contents()
    page.get_by_role("button", name="To μ(x)").click()

    assert set(at_zero) == {shown(0, 2)}
    assert random == again != at_zero
    assert outputs.all_text_contents() == at_mu


def test_the_film_is_the_walks_of_the_service(opened: Callable[..., Opened]) -> None:
    """From one code to another, both ways; below every frame its distance from 0."""
    page, address, _, _ = opened("pictures")
    asked: list[Any] = []
    page.on(
        "request",
        lambda r: asked.append(r.post_data_json) if r.url.endswith("late") else None,
    )
    rows = page.request.get(f"{address}/examples").json()["x"]
    mu = page.request.post(f"{address}/encode", data={"x": rows}).json()["mu"]

    page.locator("#to").select_option("4")
    settled(page)
    walks = [page.request.post(f"{address}/interpolate", data=b).json() for b in asked]
    notes = page.locator("#frames .note").all_text_contents()

    assert [body["path"] for body in asked] == ["straight", "great_circle"]
    for body in asked:
        np.testing.assert_allclose(body["z"], [mu[0], mu[4]], atol=1e-6)
    norms = np.linalg.norm([walk["z"] for walk in walks], axis=-1)
    assert notes == [shown(norm) for norm in norms.ravel()]
    assert painted(page, "#frames canvas >> nth=12") > 2


def decimals(page: Any, address: str) -> Any:
    """Return those of each column of "table": a hundredth of sigma needs them."""
    body = {"n": 32, "seed": 1, "draw": "sample"}
    rows = page.request.post(f"{address}/sample", data=body).json()["x"]
    return np.maximum(0, np.ceil(2 - np.log10(np.std(rows, axis=0)))).astype(int)


def test_rows_with_names_are_lines_of_a_table(opened: Callable[..., Opened]) -> None:
    """Samples have names and units of columns; the map has the color of a column."""
    page, address, complaints, _ = opened("table")
    digits = decimals(page, address)

    with page.expect_response("**/sample") as response:
        page.locator("#samples-new").click()
    settled(page)
    color = page.locator("#color option").all_text_contents()
    lines = page.locator("#dreams tbody tr").evaluate_all(
        "(lines) => lines.map((line) => [...line.cells].map((e) => e.textContent))"
    )

    samples = response.value.json()["x"]
    assert lines == [
        [f"Sample {i + 1}", *map(shown, row, digits)] for i, row in enumerate(samples)
    ]
    heads = page.locator("#dreams thead th").all_text_contents()
    assert heads == ["Use as x", *LABELS]
    assert color == list(LABELS)
    assert painted(page, "#grid") > 2
    assert page.locator("canvas:visible").count() == 1
    assert complaints == []


def test_a_row_is_edited_in_a_table(opened: Callable[..., Opened]) -> None:
    """For data that are no pictures: numbers in, E[x|z] and sigma beside them."""
    page, address, complaints, _ = opened("table")
    digits = decimals(page, address)[2]
    cells = page.locator("#input tbody tr").nth(2).locator("td")

    with page.expect_request("**/encode") as request:
        page.get_by_label("x <b>").fill("-1.25")
    settled(page)
    z = page.request.post(
        f"{page.url.partition('#')[0]}encode", data=request.value.post_data_json
    ).json()["mu"]
    p = page.request.post(f"{page.url.partition('#')[0]}decode", data={"z": z}).json()

    assert request.value.post_data_json["x"][0][2] == -1.25
    mean, log_var = p["mean"][0][2], p["log_var"][0][2]
    assert cells.nth(1).text_content() == shown(mean, digits)
    assert cells.nth(2).text_content() == shown(np.exp(log_var / 2), digits)
    assert page.locator(".pad").count() == 0
    names = page.locator("#input tbody th").all_text_contents()
    assert names == list(LABELS)
    assert complaints == []


# Of rows from a safetensors body, which torch reads where they lie and never writes.
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("name", ["pictures", "table", "learned", "cells"])
def test_what_is_copied_runs(
    opened: Callable[..., Opened],
    name: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every panel's Python and curl, whole, is answered by the service."""
    if find_spec("pandas") is None:
        monkeypatch.setitem(sys.modules, "pandas", LITTLE_PANDAS)
    page, _, _, _ = opened(
        name, permissions=["clipboard-read", "clipboard-write"], accept_downloads=False
    )

    for panel in PANELS_OF_CELLS if name == "cells" else PANELS:
        copied = []
        for language in ("curl", "Python"):
            page.locator(f"#{panel}").get_by_text(f"as {language}").click()
            page.locator("#code-copy").click()
            page.get_by_text("Copied.").wait_for()
            copied.append(page.evaluate("navigator.clipboard.readText()"))
            page.locator("#code-close").click()
        curl, python = copied

        exec(python, {})
        assert len(capsys.readouterr().out) > 2, panel
        if shutil.which("curl"):
            command = curl.replace("curl ", "curl --silent --fail-with-body ")
            ended = subprocess.run(
                ["bash", "-e", "-c", command], capture_output=True, check=False
            )
            assert ended.returncode == 0, (panel, ended.stdout)
            assert ended.stdout.startswith(b'{"')


def test_with_keys_the_browser_asks_for_one(
    browser: Any, tmp_path: Path, opened: Callable[..., Opened]
) -> None:
    """With the key as the password all of the page works, and /docs; without, none."""
    keys = tmp_path / "keys"
    keys.write_text(line_of("the-key"))
    known = {"username": "anyone", "password": "the-key"}
    with serving(save(tmp_path, "pictures"), api_keys_file=keys) as address:
        page, _, complaints, _ = opened(address, http_credentials=known)
        drawn = [
            painted(page, one) for one in ("#reconstruction", "#grid", "#dreams canvas")
        ]
        documented = page.evaluate("fetch('docs').then((answer) => answer.status)")
        context = browser.new_context()
        stranger = context.request.get(address, headers={"accept": "text/html"})
        asked = stranger.status, stranger.headers["www-authenticate"]
        context.close()

    assert complaints == []
    assert min(drawn) > 2
    assert documented == 200
    assert asked == (401, 'Basic realm="vae", charset="UTF-8"')


def test_the_letters_are_explained_in_the_words_of_the_service(
    opened: Callable[..., Opened],
) -> None:
    """Behind the toggle: what theta and phi are; how many numbers, above it."""
    page, address, _, _ = opened("pictures")
    card = page.request.get(f"{address}/model").json()
    hidden = page.locator("#meaning").is_hidden()

    page.get_by_role("button", name="What does this mean?").click()
    words = page.locator("#meaning").inner_text()

    assert hidden
    assert PHI in words
    assert THETA in words
    facts = page.locator("#facts").inner_text()
    assert f"φ {card['phi']['n_parameters']:,} numbers" in facts


@pytest.mark.parametrize("name", ["pictures", "table"])
def test_the_page_fits_a_phone(opened: Callable[..., Opened], name: str) -> None:
    """At 360 pixels nothing sticks out sideways, and everything has a name to say."""
    page, _, _, _ = opened(name, viewport={"width": 360, "height": 740})

    width = page.evaluate("document.documentElement.scrollWidth")
    unnamed = page.evaluate(
        """[...document.querySelectorAll("input, select, button, section")]
            .filter((e) => !(e.labels?.length || e.ariaLabel || e.title))
            .filter((e) => !e.textContent.trim())
            .map((e) => e.outerHTML)"""
    )

    assert width == 360
    assert unnamed == []


# Pairs of buttons and fields that cover each other where they are seen.
COVERED = """() => {
    const seen = (e) => {
        const { left, right, top, bottom } = e.getBoundingClientRect();
        const scroll = e.closest(".scroll")?.getBoundingClientRect();
        const start = Math.max(top, scroll?.top ?? -Infinity);
        const end = Math.min(bottom, scroll?.bottom ?? Infinity);
        return { left, right, top: start, bottom: end };
    };
    const all = [...document.querySelectorAll("button, input, select")]
        .filter((e) => e.checkVisibility())
        .map((e) => [e.textContent.trim() || e.outerHTML, seen(e)]);
    return all.flatMap(([one, a], i) => all.slice(i + 1)
        .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
            && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1)
        .map(([other]) => `${one} and ${other}`));
}"""


@pytest.mark.parametrize("width", [360, 600, 820, 1280])
@pytest.mark.parametrize("name", ["pictures", "colors", "table"])
def test_no_button_covers_another(
    opened: Callable[..., Opened], name: str, width: int
) -> None:
    """Nor a field, at any width."""
    page, _, _, _ = opened(name, viewport={"width": width, "height": 800})

    assert page.evaluate(COVERED) == []


# Labels of the chart of 200 dimensions that touch each other, at a width.
TOUCHING = """async (width) => {
    const script = document.querySelector("script[type=module]").src;
    const { latents } = await import(new URL("chart.js", script));
    const place = document.getElementById("latents");
    place.style.width = `${width}px`;
    const each = (f) => Array.from({ length: 200 }, (_, j) => f(j));
    const q = { mu: each(() => 0), sigma: each(() => 1), kl: each((j) => j / 200) };
    latents(place, q, { mean: each(() => 0), sigma: each(() => 1) });
    const boxes = [...place.querySelectorAll("text")]
        .map((e) => [e.textContent, e.getBoundingClientRect()]);
    return boxes.flatMap(([one, a], i) => boxes.slice(i + 1)
        .filter(([, b]) => a.right > b.left - 1 && b.right > a.left - 1
            && a.bottom > b.top + 3 && b.bottom > a.top + 3)
        .map(([other]) => `${one} and ${other}`));
}"""


@pytest.mark.parametrize("width", [240, 320, 500, 760])
def test_labels_of_many_dimensions_do_not_touch(
    opened: Callable[..., Opened], width: int
) -> None:
    """Of those, the ones with the highest KL are shown, and some are labeled."""
    page, _, _, _ = opened("pictures")

    assert page.evaluate(TOUCHING, width) == []


def test_colors_follow_the_system(opened: Callable[..., Opened]) -> None:
    """Ink on paper is drawn again when the system goes dark."""
    page, _, _, _ = opened("pictures", color_scheme="light")
    page.get_by_role("button", name="Clear").click()
    paper = """() => document.querySelector(".pad canvas").getContext("2d")
        .getImageData(0, 0, 1, 1).data[0]"""
    light = page.evaluate(paper)

    page.emulate_media(color_scheme="dark")
    deadline = time.monotonic() + SECONDS
    while page.evaluate(paper) == light and time.monotonic() < deadline:
        page.wait_for_timeout(10)  # the page gets an event

    assert light > 200
    assert page.evaluate(paper) < 50
    assert page.evaluate("getComputedStyle(document.body).color") == (
        "rgb(227, 232, 237)"
    )
