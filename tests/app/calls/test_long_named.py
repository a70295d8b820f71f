"""Long JSON bodies with rows by name: cells of any kind, in pieces, named faults."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from app.wire.json import strict
from app.wire.json.strict import MAX_EXPLAINED_BYTES
from model.tables.schema import LeftOut
from tests.app.served import Served, assert_problem
from tests.model.tables.tables import MIXED, mixed_codes, model
from tests.tiny import save_tiny

NAMES = ("amount", "size", "group", "flag")
JSON = {"content-type": "application/json"}
TENSORS = {"accept": "application/vnd.safetensors"}
N = 8_000
UNSEEN = ['},{"', "]],[[", 'quoted "\\', "grün", "a\n\u2028b"]
CELLS: list[list[Any]] = [
    [
        None if np.isnan(row[0]) else row[0],
        None if np.isnan(row[1]) else row[1],
        None if np.isnan(row[2]) else "abc"[int(row[2])],
        None if np.isnan(row[3]) else bool(row[3]),
    ]
    for row in mixed_codes(N)
]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a model of a table from which a column was left out."""
    path = tmp_path_factory.mktemp("long") / "table"
    vae = model(MIXED, mixed_codes())
    schema = vae.config.table
    assert schema is not None
    left_out = (LeftOut(name="id", why="distinct texts"),)
    more = schema.model_copy(update={"left_out": left_out})
    vae.config = vae.config.model_copy(update={"table": more})
    with Served(save_tiny(path, vae)) as served:
        yield served


def written(cells: list[list[Any]], form: str, **others: Any) -> bytes:
    """Return a body with rows by name, in another order."""
    turned = [row[::-1] for row in cells]
    x: Any = {"columns": NAMES[::-1], "data": turned}
    if form == "records":
        x = [dict(zip(NAMES[::-1], row, strict=True)) for row in turned]
    separators = (",", ":") if form == "split" else (" ,\n", ": ")
    return json.dumps({"x": x, **others}, separators=separators).encode()


@pytest.mark.parametrize("form", ["records", "split"])
def test_long_bodies_are_read_as_their_codes(
    table: Served, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is in the words; no piece takes long to parse."""
    lengths: list[int] = []
    for name in ("read_rows", "read_split_rows"):
        read = getattr(strict, name)

        def noted(text: bytes, *args: Any, read: Any = read, **options: Any) -> Any:
            lengths.append(len(text))
            return read(text, *args, **options)

        monkeypatch.setattr(strict, name, noted)
    cells, codes = [[*row] for row in CELLS], mixed_codes(N)
    for i, word in enumerate(UNSEEN * 20):
        cells[7 * i][2], codes[7 * i, 2] = word, 3
    body = written(cells, form, unknown="unseen")
    assert len(body) > MAX_EXPLAINED_BYTES

    found = table.post_raw("/encode", body, JSON | TENSORS)

    assert found.status_code == 200, found.text
    binary = {"content-type": TENSORS["accept"], **TENSORS}
    wanted = table.post_raw("/encode?unknown=unseen", save({"x": codes}), binary)
    for name, values in load(wanted.content).items():
        np.testing.assert_array_equal(load(found.content)[name], values)
    assert len(lengths) > len(body) >> 14
    assert max(lengths) <= (1 << 14) + 2


@cache
def with_a_place(row: int, form: str) -> bytes:
    """Return a long body with one more row, of which one cell is to be replaced."""
    return written([*CELLS[:row], [1, 2.5, "here", True], *CELLS[row:]], form)


@pytest.mark.parametrize(
    ("cell", "detail"),
    [
        ('"d"', "unknown category 'd'"),
        ("[1]", "expected a number, a string"),
        ('{"a": 1}', "expected a number, a string"),
        ("nope", "expected JSON, got an error at position"),
        ('"a"] [', "expected"),
        ('"\\q"', "expected JSON, got an error"),
    ],
)
@pytest.mark.parametrize("form", ["records", "split"])
@pytest.mark.parametrize("row", [5_000, N])
def test_a_fault_in_a_long_body_has_its_place(
    table: Served, form: str, row: int, cell: str, detail: str
) -> None:
    """The row, and the column where one cell is at fault."""
    body = with_a_place(row, form).replace(b'"here"', cell.encode())

    refused = assert_problem(table.post_raw("/encode", body), 422)

    [fault, *_] = refused["errors"]
    assert detail in fault["detail"]
    place = f"/x/data/{row}" if form == "split" else f"/x/{row}"
    assert fault["pointer"].startswith(place)
    if "position" in detail:
        at = int(fault["detail"].split("position ")[1].partition(":")[0])
        assert body[at : at + 4] == b"nope"


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda body: body[:-2], "then a comma or the end of the array"),
        (lambda body: body[:-1] + b',"x":[]}', "got a duplicate"),
        (lambda body: body[:-1] + b',"y":1}', "unknown name"),
        (lambda body: body.replace(b'"x"', b'"y"', 1), "expected the rows in x"),
        (lambda body: body.replace(b"{", b"3, {", 3), "expected"),
        (
            lambda body: body.replace(b'"x": [', b'"x": [{"amount": 1, "amount": 2}, '),
            "expected distinct keys",
        ),
        (lambda body: body.replace(b'"x": [', b'"x": [{"age": 1}, '), "1 other: age"),
    ],
)
def test_what_is_around_or_among_long_records_is_checked(
    table: Served, change: Any, detail: str
) -> None:
    """As in a short body."""
    body = change(written(CELLS, "records"))

    refused = assert_problem(table.post_raw("/encode", body), 422)

    assert detail in refused["errors"][0]["detail"]


def test_columns_that_long_records_do_not_have_are_named(table: Served) -> None:
    """Those that any of the rows lacks."""
    x: list[dict[str, Any]] = [dict(zip(NAMES, row, strict=True)) for row in CELLS]
    del x[0]["size"], x[-1]["flag"]

    found = table.post("/encode", {"x": x})

    assert found.headers["vae-warning"] == "no column size, flag: taken as missing"


def test_too_many_long_records_are_refused_in_time(table: Served) -> None:
    """Before all of them are read."""
    body = b'{"x": [' + b"{}," * 200_000 + b"{}]}"

    refused = assert_problem(table.post_raw("/encode", body), 413)

    assert "rows" in refused["detail"]


@pytest.mark.slow("imputes long rows")
@pytest.mark.parametrize("form", ["records", "split"])
def test_long_rows_with_gaps_are_imputed(table: Served, form: str) -> None:
    """Without a mask; a column that is not read makes the body long."""
    rows = CELLS[:2]
    path = "/impute?seed=1&n_draws=64"
    wanted = table.post_raw(path, written(rows, form), JSON).json()
    names = (*NAMES, "id")
    longer = [[*row, 'x"{' * 20_000] for row in rows]
    x: Any = {"columns": names, "data": longer}
    if form == "records":
        x = [dict(zip(names, row, strict=True)) for row in longer]

    found = table.post(path, {"x": x})

    assert found.status_code == 200, found.text
    assert found.json() == wanted
