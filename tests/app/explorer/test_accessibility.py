"""That everybody can use the page: axe-core's rules, and the keyboard alone."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.app.explorer.explored import Opened, settled, shown

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
MAX_STOPS = 120
# What has the focus: that it is seen to have it, and is in view as a whole.
FOCUS = """() => {
    const element = document.activeElement;
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    return {
        name: element.id || element.outerHTML.slice(0, 80),
        is_page: element === document.body,
        is_marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        is_in_view: box.width > 0 && box.height > 0
            && box.top >= -1 && box.bottom <= innerHeight + 1
            && box.left >= -1 && box.right <= innerWidth + 1,
    };
}"""

pytestmark = pytest.mark.slow("shows pages in a browser")


@pytest.mark.parametrize("name", ["pictures", "colors", "table", "cells"])
def test_axe_finds_nothing(opened: Callable[..., Opened], name: str) -> None:
    """All of axe-core's rules, with all that opens open; with an error; in a dialog."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is absent"
    ).Axe()
    page, _, complaints, _ = opened(name)
    page.locator("#explain").click()
    page.locator("#numbers summary").click()
    if name == "cells":
        page.get_by_label("x amount").fill("1000000000")  # an odd cell
        page.get_by_label("x size").fill("")
        page.locator("#fill").click()
        page.locator("#filled").wait_for()
    found = []

    for viewport, scheme in product((DESKTOP, PHONE), ("light", "dark")):
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        settled(page)
        found.append(axe.run(page).response)
    page.route("**/elbo", lambda route: route.abort())
    page.locator("#n-samples").select_option("1")
    page.locator("#bound .error").wait_for()
    settled(page)
    found.append(axe.run(page).response)
    page.locator("#film").get_by_text("as Python").click()
    found.append(axe.run(page).response)

    assert [rule["id"] for one in found for rule in one["violations"]] == []
    assert min(len(one["passes"]) for one in found) > 10  # a dialog has little in it
    assert complaints == ["error: Failed to load resource: net::ERR_FAILED"]


class Hands:
    """A keyboard, and nothing else."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self.press = page.keyboard.press
        self.type = page.keyboard.type

    def reach(self, selector: str) -> Any:
        """Press Tab until an element has the focus, watching what has it meanwhile."""
        element = self._page.locator(selector).first
        for _ in range(MAX_STOPS):
            self.press("Tab")
            stop = self._page.evaluate(FOCUS)
            assert stop["is_page"] or stop["is_marked"], stop["name"]
            assert stop["is_page"] or stop["is_in_view"], stop["name"]
            if element.evaluate("(element) => element === document.activeElement"):
                return element
        raise AssertionError(f"Tab does not lead to {selector}")

    def asked(self, path: str, *keys: str) -> Any:
        """Press keys; return the body of the request that they lead to."""
        settled(self._page)
        with self._page.expect_request(f"**{path}") as request:
            for key in keys:
                self.press(key)
        settled(self._page)
        return request.value.post_data_json

    def read_code(self, panel: str) -> None:
        """Open a panel's examples, copy the second, and come back."""
        for language in ("curl", "Python"):
            button = self.reach(f"#{panel} .links :text('as {language}')")
            self.press("Enter")
            assert self._page.locator("#code").is_visible()
            if language == "Python":
                self.reach("#code-copy")
                self.press("Enter")
                self._page.get_by_text("Copied.").wait_for()
            self.press("Escape")
            assert self._page.locator("#code").is_hidden()
            assert button.evaluate("(e) => e === document.activeElement")


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def hands(
    request: pytest.FixtureRequest, opened: Callable[..., Opened]
) -> tuple[Hands, Any]:
    """Return a keyboard before the page of a model of pictures, and the page."""
    page = opened("pictures", viewport=request.param, permissions=["clipboard-write"])
    return Hands(page.page), page.page


def test_the_keyboard_explains_and_draws(hands: tuple[Hands, Any]) -> None:
    """What it means, a stroke, an eraser, a brush, an example, numbers, its code."""
    keyboard, page = hands

    keyboard.reach("#explain")
    keyboard.press("Enter")
    assert page.locator("#meaning").is_visible()
    assert page.locator("#explain").get_attribute("aria-expanded") == "true"

    keyboard.reach(".tools button")
    blank = keyboard.asked("/encode", "Space")
    keyboard.press("Shift+Tab")
    drawn = keyboard.asked("/encode", "Space")
    drawn = keyboard.asked("/encode", "Shift+ArrowUp")
    assert np.sum(blank["x"]) == 0
    assert np.argwhere(np.reshape(drawn["x"], (8, 8))).tolist() == [[3, 4], [4, 4]]

    for tool in ("Erase", "Soft"):
        box = page.get_by_role("checkbox", name=tool)
        checked = box.is_checked()
        keyboard.reach(f".tools label:has-text('{tool}') input")
        keyboard.press("Space")
        assert box.is_checked() is not checked
    brush = keyboard.reach(".tools [type=range]")
    keyboard.press("ArrowRight")
    assert brush.input_value() == "1.5"

    keyboard.reach("#numbers summary")
    keyboard.press("Enter")
    keyboard.reach("#numbers .scroll")
    assert page.locator("#numbers tbody tr").count() == 10
    keyboard.reach("#examples button")
    third = keyboard.asked("/encode", "ArrowRight", "ArrowRight", "Enter")
    assert page.locator("#examples button").nth(2).get_attribute("aria-pressed")
    held_out = page.request.get(f"{page.url.partition('#')[0]}examples").json()["x"]
    assert third["x"][0] == np.ravel(held_out[2]).tolist()
    keyboard.read_code("one")


def test_the_keyboard_bounds_and_draws_again(hands: tuple[Hands, Any]) -> None:
    """How gray becomes black, K and the seed of the ELBO; draws of the posterior."""
    keyboard, _ = hands

    keyboard.reach("#binarize")
    assert keyboard.asked("/elbo", "ArrowDown")["binarize"] == "sample"
    keyboard.reach("#n-samples")
    assert keyboard.asked("/elbo", "ArrowDown")["n_samples"] == 100
    keyboard.reach("#bound-seed")
    assert keyboard.asked("/elbo", "ArrowUp")["seed"] == 2
    keyboard.read_code("bound")

    keyboard.reach("#draws-seed")
    second = keyboard.asked("/decode", "ArrowUp")["z"]
    keyboard.reach("#draws-new")
    third = keyboard.asked("/decode", "Enter")["z"]
    assert np.abs(np.subtract(second, third)).min() > 0
    keyboard.read_code("draws")


def test_the_keyboard_turns_dials_and_reads_the_map(hands: tuple[Hands, Any]) -> None:
    """Dials, their buttons, the axes of the map, its cells, its points."""
    keyboard, page = hands
    outputs = page.locator("#sliders output")

    keyboard.reach("#sliders input")
    for _ in range(3):
        keyboard.press("ArrowRight")
    keyboard.press("End")
    assert outputs.first.text_content() == shown(3, 2)
    for button in ("#to-mu", "#to-mean"):
        keyboard.reach(button)
        keyboard.press("Enter")
    assert set(outputs.all_text_contents()) == {shown(0, 2)}
    keyboard.reach("#to-random")
    assert keyboard.asked("/sample", "Enter")["seed"] == 2
    keyboard.read_code("dials")

    for axis in ("#across", "#up"):
        keyboard.reach(axis)
        z = np.array(keyboard.asked("/decode", "ArrowDown", "ArrowDown")["z"])
        assert np.count_nonzero(z.any(axis=0)) == 2
    keyboard.reach("#others")
    z = np.array(keyboard.asked("/decode", "ArrowDown")["z"])
    assert np.count_nonzero(z.any(axis=0)) == 10
    keyboard.reach("#points")
    keyboard.press("Space")
    assert page.locator("#dots .dot").count() == 0
    keyboard.reach("#plane")
    assert page.locator("#cell").is_visible()
    for key in ("ArrowLeft", *["ArrowUp"] * 15):
        keyboard.press(key)
    place = page.locator("#where").inner_text()
    keyboard.press("Enter")
    up = page.locator("#up").input_value()
    assert place.split("\n")[1].endswith(" = 1.83")
    assert page.locator(f"output[for=dial-{up}]").text_content() == shown(1.83, 2)
    keyboard.read_code("map")


def test_the_keyboard_walks_and_dreams(hands: tuple[Hands, Any]) -> None:
    """Both ends of the walk; seed, temperature and kind of samples; and on, round."""
    keyboard, page = hands

    keyboard.reach("#from")
    start = np.array(keyboard.asked("/interpolate", "ArrowDown")["z"])[0]
    keyboard.reach("#to")
    end = np.array(keyboard.asked("/interpolate", "End")["z"])[1]
    assert np.abs(start - end).max() > 1e-3
    keyboard.read_code("film")

    keyboard.reach("#samples-seed")
    assert keyboard.asked("/sample", "ArrowUp")["seed"] == 8
    keyboard.reach("#samples-new")
    assert keyboard.asked("/sample", "Enter")["seed"] == 9
    keyboard.reach("#temperature")
    assert keyboard.asked("/sample", "ArrowLeft")["temperature"] == 0.95
    keyboard.reach("#draw")
    assert keyboard.asked("/sample", "ArrowDown")["draw"] == "sample"
    keyboard.read_code("samples")
    keyboard.reach("#explain")
    assert page.locator(".error:visible").count() == 0


def test_examples_are_one_stop(hands: tuple[Hands, Any]) -> None:
    """Tab passes a dozen of them at once, and comes back to where it was."""
    keyboard, page = hands

    keyboard.reach("#examples button")
    keyboard.press("ArrowRight")
    keyboard.press("Tab")
    behind = page.evaluate(FOCUS)["name"]
    keyboard.press("Shift+Tab")
    back = page.locator("#examples button").nth(1)

    assert "as curl" in behind
    assert back.evaluate("(element) => element === document.activeElement")


def test_nothing_moves_by_itself(opened: Callable[..., Opened]) -> None:
    """There is no motion to reduce: nothing is animated, and nothing scrolls slowly."""
    page, _, _, _ = opened("pictures")

    moving = page.evaluate(
        """[...document.querySelectorAll("*")].filter((element) => {
            const style = getComputedStyle(element);
            return parseFloat(style.transitionDuration)
                || style.animationName !== "none" || style.scrollBehavior !== "auto";
        }).length"""
    )

    assert moving == 0
    assert page.evaluate("document.getAnimations().length") == 0


def test_results_are_said_politely(opened: Callable[..., Opened]) -> None:
    """A live region tells the bound once it rests, and the cell that is looked at."""
    page, _, _, _ = opened("pictures")
    live = page.locator("#live")
    live.get_by_text("ELBO").wait_for()
    bound = page.locator("#terms .dd").first.text_content()
    said = live.text_content()

    page.locator("#plane").focus()
    page.keyboard.press("ArrowUp")
    live.get_by_text("z").wait_for()

    assert live.get_attribute("aria-live") == "polite"
    assert f"ELBO {bound} nats" in said
    loud = page.locator("output:not([aria-live=off])").count()
    assert loud == 1  # the temperature's, which a hand changes
