"""The page on a model of a table of mixed kinds."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.app.explorer.explored import ROOT, Opened, settled, shown
from tests.app.live import serving

pytestmark = pytest.mark.slow("shows pages in a browser")

PENGUINS = ROOT / "released" / "penguins"
# Whether the address has a row: what is in it is compressed.
ADDRESSED = """async (row) => {
    const packed = new URLSearchParams(location.hash.slice(1)).get("x") ?? "";
    const text = atob(packed.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream();
    const whole = stream.pipeThrough(new DecompressionStream("deflate-raw"));
    return (await new Response(whole).text().catch(() => "")) === row;
}"""


def test_the_likelihood_of_cells_is_no_density(opened: Callable[..., Opened]) -> None:
    """It is a log probability of the known cells, and at most 0."""
    page, _, complaints, _ = opened("cells")
    term = page.locator("#terms .likelihood")

    text = term.locator("p").inner_text()
    value = term.locator(".dd").inner_text()

    assert "probability of the cells that are known" in text
    assert "density" not in text
    assert float(value.replace("\N{MINUS SIGN}", "-")) < 0
    assert complaints == []


def in_words(row: list[Any]) -> list[str]:
    """Return a row of codes as the page writes its cells."""
    amount, size, group, flag = row
    numbers = [(amount, 0), (size, 1)]
    choices = [(group, ["a", "b", "c", "unseen"]), (flag, ["false", "true"])]
    return [
        *("missing" if v is None else shown(v, digits) for v, digits in numbers),
        *("missing" if v is None else names[round(v)] for v, names in choices),
    ]


def lines_of(page: Any, table: str) -> list[list[str]]:
    """Return the cells of each line of a table."""
    lines: list[list[str]] = page.locator(f"{table} tr:has(td)").evaluate_all(
        "(lines) => lines.map((line) => [...line.querySelectorAll('td')]"
        ".map((cell) => cell.textContent))"
    )
    return lines


def is_of_one_row(request: Any) -> bool:
    """Say whether a request encodes one x: the examples are encoded together."""
    return request.url.endswith("/encode") and len(request.post_data_json["x"]) == 1


def test_cells_are_chosen_and_left_out(opened: Callable[..., Opened]) -> None:
    """Words for codes; what is empty is null; answers are the cells of records."""
    page, address, complaints, _ = opened("cells")
    group, flag = page.get_by_label("x group"), page.get_by_label("x flag")
    page.locator("#examples button").first.click()

    group.select_option(label="c")
    flag.select_option(label="true")
    page.get_by_label("x size").fill("10.5")
    settled(page)
    with page.expect_response(lambda r: is_of_one_row(r.request)) as response:
        page.get_by_label("x amount").fill("")
    settled(page)
    answer = response.value.json()
    decoded = page.request.post(f"{address}/decode", data={"z": answer["mu"]}).json()
    shown_cells = page.locator("#input tbody td:nth-child(3)").all_inner_texts()

    assert response.value.status == 200
    assert response.value.request.post_data_json["x"] == [[None, 10.5, 2, 1]]
    assert shown_cells == in_words(decoded["mean"][0])
    assert group.locator("option").all_inner_texts() == [
        "missing",
        "a",
        "b",
        "c",
        "unseen",
    ]
    assert flag.locator("option").all_inner_texts() == ["missing", "false", "true"]
    assert complaints == []


def test_a_number_half_written_is_not_missing(opened: Callable[..., Opened]) -> None:
    """What the field cannot read yet asks nothing and leaves x as it was."""
    page, _, _, _ = opened("cells")
    page.locator("#examples button").nth(2).click()
    settled(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.get_by_label("x size").fill("")
    settled(page)
    asked.clear()
    page.get_by_label("x size").press("-")
    settled(page)

    assert [url for url in asked if url.endswith("/encode")] == []


def test_the_address_keeps_missing_cells(opened: Callable[..., Opened]) -> None:
    """A row with a gap is the same row after a reload, not one with a 0."""
    page, _, complaints, _ = opened("cells")
    page.get_by_label("x group").select_option(label="b")
    page.get_by_label("x amount").fill("7")
    page.get_by_label("x size").fill("")
    page.get_by_label("x flag").select_option(label="missing")
    page.wait_for_function(ADDRESSED, arg="7,,1,")
    settled(page)

    with page.expect_request(is_of_one_row) as request:
        page.reload()
    settled(page)

    assert request.value.post_data_json["x"] == [[7, None, 1, None]]
    assert page.get_by_label("x size").input_value() == ""
    assert page.get_by_label("x flag").input_value() == ""
    assert complaints == []


def test_examples_are_lines_of_a_table(opened: Callable[..., Opened]) -> None:
    """Each has its cells and a button that makes it x; the columns have their names."""
    page, address, _, _ = opened("cells")
    rows = page.request.get(f"{address}/examples").json()["x"]
    button = page.locator("#examples button").nth(3)

    with page.expect_request(is_of_one_row) as request:
        button.click()
    settled(page)

    heads = page.locator("#examples thead th").all_inner_texts()
    assert heads == ["Use as x", "amount", "size", "group", "flag"]
    assert lines_of(page, "#examples") == [in_words(row) for row in rows]
    assert request.value.post_data_json["x"] == [rows[3]]
    assert button.get_attribute("aria-pressed") == "true"


def test_results_are_lines_of_a_table(opened: Callable[..., Opened]) -> None:
    """Draws, the dials, the map, walks and samples have cells, and nothing is drawn."""
    page, _, complaints, _ = opened("cells")
    answers = {}
    for panel, path, act in (
        ("draws", "decode", page.locator("#draws-new").click),
        ("dials", "decode", page.locator("#to-mean").click),
        ("film", "interpolate", lambda: page.locator("#to").select_option("5")),
        ("samples", "sample", page.locator("#samples-new").click),
    ):
        with page.expect_response(f"**/{path}") as response:
            act()
        settled(page)
        answer = response.value.json()
        answers[panel] = [in_words(row) for row in answer.get("mean") or answer["x"]]
    page.locator("#plane").focus()
    canvases = page.locator("canvas:visible").evaluate_all(
        "(all) => all.map((e) => e.id)"
    )

    dials = [cells[0] for cells in lines_of(page, "#dialled")]
    line, circle = (lines_of(page, f"#frames figure:nth-child({n})") for n in (1, 2))
    assert lines_of(page, "#draws-film") == answers["draws"]
    assert [dials] == answers["dials"]
    assert [cells[:-1] for cells in line] == answers["film"]
    assert len(circle) == len(line) == 9
    assert lines_of(page, "#dreams") == answers["samples"]
    assert len(lines_of(page, "#lens")) == 4
    assert canvases == ["grid"]
    assert "Draw" not in page.locator("#one .title").inner_text()
    assert complaints == []


def test_a_line_becomes_x_by_pointer_and_key(opened: Callable[..., Opened]) -> None:
    """By its button; arrows move from line to line; E[x|z] has a button of its own."""
    page, _, _, _ = opened("cells")
    draws = lines_of(page, "#draws-film")
    samples = lines_of(page, "#dreams")

    def picked(act: Callable[[], object]) -> list[str]:
        with page.expect_request(is_of_one_row) as request:
            act()
        settled(page)
        return in_words(request.value.post_data_json["x"][0])

    by_pointer = picked(page.get_by_label("Use draw 3 as x").first.click)
    mean = page.locator("#input tbody td:nth-child(3)").all_inner_texts()
    reconstructed = picked(page.get_by_text("Use E[x|z] as x").click)
    page.get_by_label("Use sample 1 as x").focus()
    page.keyboard.press("ArrowDown")
    by_key = picked(lambda: page.keyboard.press("Enter"))

    assert by_pointer == draws[2]
    assert reconstructed == mean
    assert by_key == samples[1]
    focused = page.evaluate("document.activeElement.ariaLabel")
    assert focused == "Use sample 2 as x"


def test_code_names_the_cells(opened: Callable[..., Opened]) -> None:
    """Records in curl; data frames in Python, with its words for nothing and truth."""
    page, _, _, _ = opened("cells")
    page.get_by_label("x amount").fill("7.25")  # finer than the column
    page.get_by_label("x size").fill("")
    page.get_by_label("x group").select_option(label="b")
    page.get_by_label("x flag").select_option(label="true")
    settled(page)
    copied = []
    for panel, language in (("bound", "curl"), ("bound", "Python"), ("one", "Python")):
        page.locator(f"#{panel}").get_by_text(f"as {language}").click()
        copied.append(page.locator("#code-text").inner_text())
        page.locator("#code-close").click()
    curl, python, decoded = copied

    assert '"x": [{"amount": 7.25, "size": null, "group": "b", "flag": true}]' in curl
    cells = '{"amount": 7.25, "size": None, "group": "b", "flag": True}'
    assert f"x = pd.DataFrame([{cells}])" in python
    assert "import pandas as pd" in python
    assert "vae.model().frame(p.mean, pd.DataFrame))" in decoded  # words, not codes


def test_missing_cells_are_filled(opened: Callable[..., Opened]) -> None:
    """The best guess and draws are those of /impute; each can become x."""
    page, address, complaints, _ = opened("cells")
    page.get_by_label("x amount").fill("7")
    page.get_by_label("x size").fill("")
    page.get_by_label("x group").select_option(label="missing")
    page.get_by_label("x flag").select_option(label="true")
    settled(page)
    gaps = page.locator("#gaps").inner_text()

    with page.expect_request("**/impute") as request:
        page.locator("#fill").click()
    settled(page)
    body = request.value.post_data_json
    records = page.request.post(
        f"{address}/impute", data={**body, "orient": "records"}
    ).json()
    heads = page.locator("#filled thead th").all_inner_texts()
    size, group = map(list, zip(*lines_of(page, "#filled"), strict=True))
    with page.expect_request(is_of_one_row) as picked:
        page.locator("#missing").get_by_label("Use draw 2 as x").click()
    settled(page)

    [mean], [samples] = records["mean"], records["samples"]
    [variance] = records["variance"]
    assert body["x"] == [[7, None, None, 1]]
    assert body["mask"] == [[1, 0, 0, 1]]
    assert gaps == "2 of the 4 cells of x are missing."
    assert heads == ["Use as x", "size", "group"]
    sizes = [shown(row["size"]) for row in (mean, *samples)]
    ends = [shown(records[end][0]["size"]) for end in ("interval_low", "interval_high")]
    assert size == [f"{sizes[0]} ({ends[0]} to {ends[1]})", *sizes[1:]]
    percent = round(100 * (1 - variance["group"]))
    groups = [row["group"] for row in samples]
    assert group == [f"{mean['group']}, {percent} %", *groups]
    x = picked.value.post_data_json["x"][0]
    levels = ["a", "b", "c"]
    assert x == [7, samples[1]["size"], levels.index(samples[1]["group"]), 1]
    assert page.locator("#filled").is_hidden()
    assert page.locator("#fill").is_disabled()
    assert complaints == []


def test_filled_cells_are_of_the_x_that_is_shown(opened: Callable[..., Opened]) -> None:
    """Another x takes the answers about the one before away."""
    page, _, _, _ = opened("cells")
    page.get_by_label("x size").fill("")
    page.locator("#fill").click()
    page.locator("#filled").wait_for()

    page.get_by_label("x amount").fill("9")
    hidden = page.locator("#filled").is_hidden()
    settled(page)

    assert hidden
    assert page.locator("#fill").is_enabled()


def odd(page: Any, *, of: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Fill cells in; return the columns that are marked, and all that is said."""
    for name, cell in of.items():
        field = page.get_by_label(f"x {name}")
        if isinstance(cell, str) and cell:
            field.select_option(label=cell)
        else:
            field.fill(str(cell))
    settled(page)
    marked = page.locator("#input tbody th.odd").all_inner_texts()
    return marked, page.locator("#input li").all_inner_texts()


def test_odd_cells_are_marked_and_explained(opened: Callable[..., Opened]) -> None:
    """Those that others make less likely, and those far out, as /anomaly has them."""
    with serving(PENGUINS) as address:
        page, _, complaints, _ = opened(address)
        usual = odd(page, of={})
        swapped = odd(page, of={"species": "Gentoo"})
        page.locator("#undo").click()
        far = odd(page, of={"body_mass_g": 9000})
        farther = odd(page, of={"body_mass_g": 63000})
        page.locator("#undo").click()
        page.locator("#undo").click()
        gap = odd(page, of={"sex": "missing", "species": "missing"})
        x = page.request.get(f"{address}/examples").json()["x"][0]
        rows = [x, [2, *x[1:]], *([*x[:5], mass, *x[6:]] for mass in (9000, 63000))]
        answers = [
            page.request.post(f"{address}/anomaly", data={"x": [x], "seed": 1}).json()
            for x in rows
        ]

    share = round(100 * answers[0]["ratio_p_value"][0])
    times = round(np.exp(answers[1]["blame"][0][0]))
    p, least = (one["tail_p_value_per_column"][0][5] for one in answers[2:])
    why = f"unusual given the other cells, which make it {times} times less likely"
    assert usual[0] == gap[0] == []
    assert usual[1][0].startswith(f"No cell is odd. In {share} % of 34 held-out")
    assert answers[1]["blame_order"][0][0] == 0
    assert times > 20
    assert swapped == (["species"], [f"species: {why}"])
    assert p < 0.01
    assert far[0] == ["body_mass_g"]
    assert far[1][0].startswith("body_mass_g: far outside of the usual range: ")
    assert float(far[1][0].split()[-1]) == pytest.approx(p, rel=0.5)
    assert least < 1e-6
    assert farther[1][0].endswith(
        ": numbers as extreme have probability below 0.000001"
    )
    assert complaints == []


def test_nothing_is_said_of_a_row_without_cells(opened: Callable[..., Opened]) -> None:
    """If all are missing, none can be odd."""
    page, _, complaints, _ = opened("cells")
    empty = {"amount": "", "size": "", "group": "missing", "flag": "missing"}

    marked, said = odd(page, of=empty)

    assert marked == said == []
    assert complaints == []


def test_an_old_checkpoint_says_why_no_cell_is_odd(
    opened: Callable[..., Opened],
) -> None:
    """Without held-out scores of that kind nothing is known about oddity."""
    page, _, complaints, _ = opened("cells")

    marked, said = odd(page, of={"amount": 1000000000})

    assert marked == []
    assert said[0].startswith("No cell is called odd: this checkpoint was trained")
    assert complaints == []


def test_a_partial_row_is_not_ranked_by_its_bound(
    opened: Callable[..., Opened],
) -> None:
    """The bound of fewer cells is higher; that of a whole row has its rank."""
    page, _, _, _ = opened("cells")
    standing = page.locator("#standing")
    for name, cell in (("amount", "7"), ("size", "5")):
        page.get_by_label(f"x {name}").fill(cell)
    for name, cell in (("group", "b"), ("flag", "true")):
        page.get_by_label(f"x {name}").select_option(label=cell)
    settled(page)
    whole = standing.inner_text()

    page.get_by_label("x size").fill("")
    settled(page)

    assert " 50 validation rows: " in whole
    assert "simpler" not in whole
    assert standing.inner_text().startswith("Cells of x are missing")
