"""The columns of a table on the page: data against samples, colors, and downloads."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.app.explorer.explored import Opened, painted, settled

pytestmark = pytest.mark.slow("shows pages in a browser")
ASKED = {"n": 100, "seed": 3, "draw": "sample"}
LEVELS = ["a", "b", "c"]


def rows_of(page: Any, address: str) -> tuple[Any, Any]:
    """Return the examples and the samples that the panel compares, as codes."""
    seen = page.request.get(f"{address}/examples").json()["x"]
    drawn = page.request.post(f"{address}/sample", data=ASKED).json()["x"]
    return np.array(seen, np.float64), np.array(drawn, np.float64)


@pytest.fixture
def panel(opened: Callable[..., Opened]) -> Opened:
    """Return the page after 100 rows of the third seed are drawn."""
    found = opened("cells", accept_downloads=True)
    found.page.locator("#n-drawn").select_option("100")
    found.page.locator("#drawn-seed").fill("2")
    found.page.locator("#drawn-new").click()
    settled(found.page)
    return found


def test_each_column_has_its_shares(panel: Opened) -> None:
    """Of the known cells of both, by category and by bin, in words too."""
    page, address, complaints, _ = panel
    seen, drawn = rows_of(page, address)

    charts = page.locator("#marginals figure")
    group = charts.nth(2).locator("svg").get_attribute("aria-label")
    size = charts.nth(1).locator("svg").get_attribute("aria-label")
    legend = page.locator("#series li").all_inner_texts()

    wanted = {}
    for code, level in enumerate(LEVELS):
        each = [
            100 * (x[~np.isnan(x)] == code).mean() for x in (seen[:, 2], drawn[:, 2])
        ]
        wanted[level] = f"{each[0]:.0f} % of held-out, {each[1]:.0f} % of sampled"
    parts = dict(
        part.split(" ", 1) for part in group.removeprefix("group: ").split("; ")
    )
    assert parts == wanted
    bins = [part.split(" of ")[0].split()[-2] for part in size.split("; ")]
    assert sum(map(int, bins)) == pytest.approx(100, abs=len(bins))
    assert legend == [f"{len(seen)} held-out rows", "100 sampled rows"]
    missing = 100 * np.isnan(seen[:, 2]).mean()
    note = charts.nth(2).locator("figcaption").inner_text()
    assert note == f"group {missing:.0f} % of held-out missing"
    assert complaints == []


# The words of the bars of a column, of which the later categories are more frequent.
ORDER = """async (categories) => {
    const script = document.querySelector("script[type=module]").src;
    const { marginal } = await import(new URL("column_chart.js", script));
    const columns = [{ name: "column", kind: "categorical", categories }];
    const cells = { columns, said: (code) => String(categories[code]) };
    const rows = categories.flatMap((_, code) => Array(code + 1).fill([code]));
    const chart = marginal(cells, [{ css: "seen", what: "held-out", rows }], 0);
    return [...chart.querySelectorAll("text")].map((words) => words.textContent);
}"""


def test_numbers_as_categories_keep_their_order(opened: Callable[..., Opened]) -> None:
    """Years are in the order of time; words begin with the most frequent one."""
    page, _, _, _ = opened("cells")

    assert page.evaluate(ORDER, [2007, 2008, 2009]) == ["2007", "2008", "2009"]
    assert page.evaluate(ORDER, ["a", "b", "c"]) == ["c", "b", "a"]


def test_two_columns_are_compared(panel: Opened) -> None:
    """A dot for each row with both cells, whichever columns are chosen."""
    page, address, _, _ = panel
    seen, drawn = rows_of(page, address)

    for across, up in (("size", "amount"), ("group", "flag"), ("group", "size")):
        page.locator("#pair-across").select_option(label=across)
        page.locator("#pair-up").select_option(label=up)
        names = ["amount", "size", "group", "flag"]
        chosen = [names.index(across), names.index(up)]
        for css, rows in (("seen", seen), ("drawn", drawn)):
            n = (~np.isnan(rows[:, chosen])).all(axis=1).sum()
            assert page.locator(f"#pair circle.{css}").count() == n
        label = page.locator("#pair svg").get_attribute("aria-label")
        assert label.startswith(f"{up} against {across}")


def downloaded(page: Any, button: str) -> list[list[str]]:
    """Return the cells of the CSV that a button downloads."""
    with page.expect_download() as download:
        page.locator(button).click()
    text = Path(download.value.path()).read_bytes().decode()
    return list(csv.reader(io.StringIO(text)))


def test_rows_are_downloaded(panel: Opened) -> None:
    """Sampled rows as they are shown; filled ones with their known cells, to send."""
    page, address, complaints, _ = panel
    answer = page.request.post(
        f"{address}/sample", data=ASKED, headers={"Accept": "text/csv"}
    )
    page.get_by_label("x amount").fill("7")
    page.get_by_label("x size").fill("")
    page.get_by_label("x group").select_option(label="b")
    page.get_by_label("x flag").select_option(label="true")
    settled(page)
    disabled = page.locator("#filled-csv").is_disabled()
    page.locator("#fill").click()
    page.locator("#filled").wait_for()

    sampled = downloaded(page, "#drawn-csv")
    header, *filled = downloaded(page, "#filled-csv")
    text = "\n".join(map(",".join, [header, *filled]))
    bound = page.request.post(
        f"{address}/elbo?seed=1", data=text, headers={"Content-Type": "text/csv"}
    )

    assert sampled == list(csv.reader(io.StringIO(answer.text())))
    assert len(sampled) == 101
    assert disabled
    assert header == ["amount", "size", "group", "flag"]
    assert [(row[0], *row[2:]) for row in filled] == [("7", "b", "true")] * 6
    assert all(float(row[1]) for row in filled)
    assert len(bound.json()["elbo"]) == 6
    assert complaints == []


def test_the_map_is_colored_by_a_column(opened: Callable[..., Opened]) -> None:
    """By labels, by a category, by a number on a scale; a missing cell has its own."""
    page, address, complaints, _ = opened("cells")
    rows = np.array(page.request.get(f"{address}/examples").json()["x"], np.float64)
    color = page.locator("#color")
    legend = page.locator("#legend li")
    found = {}

    for by in ("label", "group", "size"):
        color.select_option(label=by)
        fills = page.locator("#dots .dot").evaluate_all(
            "(dots) => dots.map((dot) => dot.getAttribute('fill'))"
        )
        found[by] = legend.all_inner_texts(), fills

    gaps = np.isnan(rows)
    gone = [["missing"] * bool(gaps[:, d].any()) for d in (1, 2)]
    known = sorted({LEVELS[int(code)] for code in rows[~gaps[:, 2], 2]})
    assert found["label"][0] == ["0", "1", "2"]
    assert found["group"][0] == known + gone[1]
    low, high = np.nanmin(rows[:, 1]), np.nanmax(rows[:, 1])
    assert found["size"][0] == [
        f"{low:.1f} to {high:.1f}".replace("-", "\N{MINUS SIGN}"),
        *gone[0],
    ]
    sizes = found["size"][1]
    assert len(set(sizes)) == len({f"{v}" for v in rows[:, 1]})
    settled(page)
    assert painted(page, "#grid") > 1
    assert page.locator("#legend .ramp").count() == 1
    assert complaints == []
