"""How the page keeps x: pictures that come in, undo, its address, and what it saves."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.app.explorer.explored import Opened, settled

pytestmark = pytest.mark.slow("shows pages in a browser")

# A file that is dropped or pasted, made within the page.
GIVE = """([kind, bytes, type]) => {
    const files = new DataTransfer();
    files.items.add(new File([new Uint8Array(bytes)], "picture", { type }));
    const init = { bubbles: true, cancelable: true };
    const event = kind === "drop"
        ? new DragEvent("drop", { ...init, dataTransfer: files })
        : new ClipboardEvent("paste", { ...init, clipboardData: files });
    document.querySelector("main").dispatchEvent(event);
    return event.defaultPrevented;
}"""


def is_of_one_row(request: Any) -> bool:
    """Say whether a request encodes one x: the examples are encoded together."""
    return request.url.endswith("/encode") and len(request.post_data_json["x"]) == 1


def x_of(page: Any, act: Callable[[], object]) -> Any:
    """Return the x that an act has encoded."""
    with page.expect_request(is_of_one_row) as request:
        act()
    settled(page)
    return np.array(request.value.post_data_json["x"][0])


def png(pixels: Any) -> bytes:
    """Return a picture as a file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def address_of(page: Any, part: str) -> str:
    """Wait until the address has a part; return the address."""
    page.wait_for_function("(part) => location.hash.includes(part)", arg=part)
    return str(page.url)


@pytest.mark.parametrize("way", ["file", "drop", "paste"])
def test_a_picture_becomes_x(
    opened: Callable[..., Opened], way: str, tmp_path: Path
) -> None:
    """Scaled to the model's size, gray, in its range; the page stays where it is."""
    page, address, complaints, _ = opened("pictures")
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, 32:] = [255, 0, 0]
    path = tmp_path / "picture.png"
    path.write_bytes(png(pixels))

    def give() -> None:
        if way == "file":
            page.locator("#file").set_input_files(path)
        else:
            page.evaluate(GIVE, [way, list(path.read_bytes()), "image/png"])

    x = x_of(page, give).reshape(8, 8)

    # The middle of 64 columns is cut out: half black, half red.
    np.testing.assert_array_equal(x[:, :3], 0)
    np.testing.assert_allclose(x[:, 5:], 0.299, atol=1e-3)
    assert page.url.startswith(address)
    assert complaints == []


def test_what_is_no_picture_is_refused_in_words(
    opened: Callable[..., Opened],
) -> None:
    """A text is no picture, and a table's row is none: x stays, and the page too."""
    page, _, _, _ = opened("pictures")
    table = opened("table").page

    for one, words in ((page, "Not a picture"), (table, "Not a row of numbers")):
        assert one.evaluate(GIVE, ["drop", [104, 105], "text/plain"])
        error = one.locator("#one .error")
        error.wait_for()
        assert words in error.text_content()
    assert table.locator("#open").is_hidden()


def test_undo_brings_back_every_x(opened: Callable[..., Opened]) -> None:
    """A stroke, an inversion, an example and a decoded picture, one after the other."""
    page, _, complaints, _ = opened("pictures")
    assert page.locator("#undo").is_disabled()

    before = x_of(page, page.locator("#examples button").nth(1).click)
    acts = [
        page.locator(".pad").click,
        page.get_by_role("button", name="Invert").click,
        page.locator("#examples button").nth(4).click,
        page.locator("#draws-film button").nth(2).click,
        page.locator("#use-reconstruction").click,
        page.locator("#use-dialled").click,
    ]
    seen = [before, *(x_of(page, act) for act in acts)]
    undone = [x_of(page, page.locator("#undo").click) for _ in acts[1:]]
    page.locator("h1").click()
    undone.append(x_of(page, lambda: page.keyboard.press("Control+z")))

    for one, other in zip(undone, reversed(seen[:-1]), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(seen[2], 1 - seen[1], atol=1e-6)
    assert complaints == []


def test_samples_become_x_by_pointer_and_key(opened: Callable[..., Opened]) -> None:
    """The sample that is shown there, to four decimals."""
    page, address, _, _ = opened("pictures")
    body = {"n": 64, "seed": 7}
    samples = page.request.post(f"{address}/sample", data=body).json()["x"]

    by_pointer = x_of(page, page.locator("#dreams button").nth(18).click)
    for key in ("ArrowDown", "ArrowRight", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)  # in lines of 16
    by_key = x_of(page, lambda: page.keyboard.press("Enter"))

    np.testing.assert_allclose(by_pointer, np.ravel(samples[18]), atol=1e-4)
    np.testing.assert_allclose(by_key, np.ravel(samples[3]), atol=1e-4)


def test_a_dot_of_the_map_is_its_example(opened: Callable[..., Opened]) -> None:
    """Pointed at it is named; by a click it becomes x."""
    page, address, _, _ = opened("pictures")
    rows = page.request.get(f"{address}/examples").json()["x"]
    dot = page.locator("#dots .dot").nth(5)
    dot.scroll_into_view_if_needed()
    box = dot.bounding_box()
    at = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    page.mouse.move(*at)
    words = page.locator("#where").text_content()
    x = x_of(page, lambda: page.mouse.click(*at))

    assert "Example " in words
    number = int(words.split("Example ")[1].split(",")[0]) - 1
    np.testing.assert_array_equal(x, np.ravel(rows[number]))
    assert "8 dimensions stand at the prior" in page.locator("#map .title").inner_text()


def test_the_address_keeps_the_state(opened: Callable[..., Opened]) -> None:
    """Reload, a shared link and the way back show the same x, dials and settings."""
    page, _, complaints, _ = opened("pictures")
    page.locator("#n-samples").select_option("100")
    page.locator("#examples button").nth(3).click()
    settled(page)
    address_of(page, "example=3")
    x = x_of(page, page.get_by_role("button", name="Invert").click)
    page.locator("#sliders input").first.fill("1.5")
    page.locator("#samples-seed").fill("11")
    link = address_of(page, "samples-seed=11")
    dials = page.locator("#sliders output").all_text_contents()

    shared = opened(link).page
    assert shared.locator("#n-samples").input_value() == "100"
    assert shared.locator("#samples-seed").input_value() == "11"
    assert shared.locator("#sliders output").all_text_contents() == dials
    np.testing.assert_array_equal(x_of(shared, shared.reload), x)

    page.go_back()
    page.wait_for_function(
        "document.querySelectorAll('#examples button')[3].ariaPressed === 'true'"
    )
    assert complaints == []


@pytest.mark.parametrize(
    "link",
    ["#x=AAAA", "#example=999", "#z=1,2", "#x=%%%&seed", "#across=77&temperature=x"],
)
def test_a_link_of_another_model_does_no_harm(
    opened: Callable[..., Opened], addresses: Callable[[str], str], link: str
) -> None:
    """What does not fit is left out."""
    page, _, complaints, _ = opened(f"{addresses('pictures')}/{link}")

    assert complaints == []
    assert page.locator(".error:visible").count() == 0


def test_another_model_is_noticed(opened: Callable[..., Opened]) -> None:
    """Nothing of it is painted; the page offers to reload."""
    page, _, _, _ = opened("pictures")
    shot = "() => document.getElementById('reconstruction').toDataURL()"
    before = page.evaluate(shot)

    def swap(route: Any) -> None:
        answer = route.fetch()
        headers = {**answer.headers, "x-model-version": "another"}
        route.fulfill(response=answer, headers=headers)

    page.route("**/*code", swap)
    page.locator("#examples button").nth(2).click()
    page.locator("#other").wait_for()
    settled(page)

    assert page.evaluate(shot) == before
    page.unroute("**/*code")
    page.locator("#reload").click()
    page.locator("#other").wait_for(state="hidden")


def test_a_failure_can_be_tried_again(opened: Callable[..., Opened]) -> None:
    """In words, with a button; the answer takes the error's place."""
    page, _, _, _ = opened("pictures")
    page.route("**/elbo", lambda route: route.abort())
    page.locator("#n-samples").select_option("1")
    error = page.locator("#bound .error")
    error.wait_for()
    words = error.text_content()
    page.unroute("**/elbo")
    with page.expect_response("**/elbo") as response:
        error.get_by_role("button", name="Try again").click()
    error.wait_for(state="hidden")

    assert words.startswith("No answer: the service cannot be reached. Is it running?")
    assert response.value.json()["n_samples"] == 1


def test_an_empty_picture_is_not_ordinary(opened: Callable[..., Opened]) -> None:
    """A bound above all held-out ones is unusual too."""
    page, address, _, _ = opened("pictures")

    def raise_bound(route: Any) -> None:
        answer = route.fetch()
        document = answer.json()
        route.fulfill(response=answer, json={**document, "elbo": [-1.0]})

    page.route("**/elbo", raise_bound)
    page.locator("#n-samples").select_option("1")
    settled(page)

    standing = page.locator("#standing").text_content()
    assert standing.startswith("Above all 50 validation rows: unusual.")
    assert "simpler" in standing
    assert address


def test_what_is_shown_is_saved(opened: Callable[..., Opened], tmp_path: Path) -> None:
    """JSON has requests and responses; PNG the pictures, side by side."""
    page, _, complaints, _ = opened("pictures")
    panel = page.locator("#draws")

    saved = {}
    for kind in ("JSON", "PNG"):
        with page.expect_download() as download:
            panel.get_by_role("button", name=kind).click()
        saved[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[kind])

    (pair,) = json.loads(saved["JSON"].read_text())
    assert saved["JSON"].name == "draws.json"
    assert pair["path"] == "/decode"
    assert np.shape(pair["request"]["z"]) == (8, 10)
    assert np.shape(pair["response"]["mean"]) == (8, 8, 8)
    with Image.open(saved["PNG"]) as picture:
        assert picture.width == 8 * (64 + 8)
    assert complaints == []
