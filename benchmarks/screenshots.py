"""
Take the pictures of the page at `/` that the documentation shows, in a browser.

    python -m benchmarks.screenshots http://127.0.0.1:8000

The service has the released model of MNIST. The files are docs/explorer.png,
explorer-dark.png and explorer-phone.png.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, FloatRect, Page, sync_playwright

_DOCS = Path(__file__).parents[1] / "docs"
_DESKTOP, _PHONE = (1280, 800), (390, 844)
_EXAMPLE = "#example=3"
_MARGIN = 20


def opened(browser: Browser, url: str, size: tuple[int, int], scheme: str) -> Page:
    """Return the page in light or dark, with every panel filled."""
    width, height = size
    page = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page.goto(url + _EXAMPLE)
    page.wait_for_selector("#scale svg")
    page.wait_for_selector("[aria-busy=true]", state="detached")
    return page


def clip(page: Page, first: str | None, last: str) -> FloatRect:
    """Return the part of a page from an element, or from its top, to another one."""
    top = 0.0
    if first is not None:
        top = page.locator(first).evaluate("(e) => e.getBoundingClientRect().top")
        top += page.evaluate("scrollY") - _MARGIN
    bottom = page.locator(last).evaluate("(e) => e.getBoundingClientRect().bottom")
    height = bottom + page.evaluate("scrollY") + _MARGIN - top
    return {"x": 0, "y": top, "width": _DESKTOP[0], "height": height}


def main() -> None:
    """Write the three pictures."""
    (url,) = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = opened(browser, url, _DESKTOP, "light")
        area = clip(page, None, "#draws")
        page.screenshot(path=_DOCS / "explorer.png", clip=area, full_page=True)
        page = opened(browser, url, _DESKTOP, "dark")
        area = clip(page, "#dials", "#dials")
        page.screenshot(path=_DOCS / "explorer-dark.png", clip=area, full_page=True)
        page = opened(browser, url, _PHONE, "light")
        page.screenshot(path=_DOCS / "explorer-phone.png")
        browser.close()


if __name__ == "__main__":
    main()
