"""
Measure the time from a stroke to its reconstruction on the page at `/`, in a browser.

    python -m benchmarks.explorer http://127.0.0.1:8000 [http://... ...]

Chromium, controlled by Playwright, moves a pressed pointer over the pad of a running
service for images, one move at a time. A time runs from the `pointermove` event to the
frame after the reconstruction is drawn. It includes the page's own work, `/encode` and
`/decode`.
"""

import argparse
import os
import shutil
import sys
from itertools import product

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.results import circumstances, table, write_section

BAR_MS = 100
_SIDE = 6
_QUIET_MS = 400
# Each drawing of a canvas sets its width, which triggers the observer.
_WATCH = """() => {
    window.times = [];
    let moved;
    document.querySelector(".pad").addEventListener("pointermove", (event) => {
        if (window.armed) [window.armed, moved] = [false, performance.now()];
    }, true);
    const after = new MessageChannel();
    after.port1.onmessage = ({ data }) => times.push(performance.now() - data);
    new MutationObserver(() => {
        if (moved === undefined) return;
        const start = moved;
        moved = undefined;
        requestAnimationFrame(() => after.port2.postMessage(start));
    }).observe(document.getElementById("reconstruction"), { attributes: true });
}"""


def strokes(page: Page) -> list[float]:
    """Draw strokes on an empty pad; return the time of each in ms."""
    page.get_by_role("button", name="Clear").click()
    page.locator(".pad").scroll_into_view_if_needed()
    box = page.locator(".pad").bounding_box()
    if box is None:
        raise SystemExit("expected a model of pictures, whose page has a pad")
    page.evaluate(_WATCH)
    places = (np.arange(_SIDE) + 0.5) / (_SIDE + 1)
    for y, x in product(places, places):
        left, top = box["x"] + x * box["width"], box["y"] + y * box["height"]
        page.mouse.move(left, top)
        page.mouse.down()
        page.wait_for_timeout(_QUIET_MS)
        n_known = page.evaluate("times.length")
        page.evaluate("window.armed = true")
        page.mouse.move(left + 0.1 * box["width"], top)
        while page.evaluate("times.length") == n_known:
            page.wait_for_timeout(_QUIET_MS)
        page.mouse.up()
    times: list[float] = page.evaluate("times")
    return times


def measured(browser: Browser, url: str) -> list[str]:
    """Return a row of the table for one service."""
    page = browser.new_page()
    page.goto(url)
    page.wait_for_selector("#scale svg")
    card = page.request.get(f"{url}/model").json()
    times = strokes(page)
    page.close()
    least, median, ninth, most = np.quantile(times, [0, 0.5, 0.9, 1])
    return [
        card["name"],
        " x ".join(map(str, card["data_shape"])),
        str(len(times)),
        f"{median:.0f}",
        f"{ninth:.0f}",
        f"{least:.0f} to {most:.0f}",
        "met" if median < BAR_MS else "MISSED",
    ]


def main() -> int:
    """Print the table; return 1 if a median misses the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--write", action="store_true", help="into RESULTS.md")
    arguments = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        rows = [measured(browser, url.rstrip("/")) for url in arguments.urls]
        browser.close()
    head = ["model", "x", "strokes", "median, ms", "p90, ms", "least to most"]
    text = (
        f"{circumstances(('playwright', 'torch', 'uvicorn'))} Chromium and the "
        f"services share the cores; load {os.getloadavg()[1]:.0f}.\n\n"
        + table([*head, f"median < {BAR_MS} ms"], rows)
    )
    sys.stdout.write(text + "\n")
    if arguments.write:
        write_section("Explorer", text)
    return int(any(row[-1] == "MISSED" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
