"""Parquet as the body of requests and of responses: the table that CSV is."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import numpy as np
import pytest

from model.tables.schema import LeftOut
from tests.app.named_columns import COLUMNS, EACH_CALL, ROWS
from tests.app.served import Served, assert_problem
from tests.model.tables.tables import MIXED, mixed_codes, model
from tests.tiny import calibrated, save_tiny

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

PARQUET, CSV, TENSORS = (
    "application/vnd.apache.parquet",
    "text/csv",
    "application/vnd.safetensors",
)
CELLS: dict[str, list[Any]] = {
    "amount": [12, 0, None, 3],
    "size": [0.5, 20.3, 9.9, None],
    "group": ["a", "c", "b", None],
    "flag": [True, False, None, True],
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a model of a table of mixed kinds, whose training left a column out."""
    path = tmp_path_factory.mktemp("mixed") / "table"
    vae = model(MIXED, mixed_codes())
    assert vae.config.table is not None
    left_out = (LeftOut(name="id", why="dates"),)
    schema = vae.config.table.model_copy(update={"left_out": left_out})
    vae.config = vae.config.model_copy(update={"table": schema})
    scores = calibrated(np.linspace(9, 14, 99), binarization="none")
    with Served(save_tiny(path, vae, scores)) as served:
        yield served


def packed(columns: Mapping[str, Any], **options: Any) -> bytes:
    """Return columns as Parquet."""
    file = io.BytesIO()
    parquet.write_table(arrow.table(dict(columns)), file, **options)
    return file.getvalue()


def as_csv(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """Return columns as CSV."""
    file = io.StringIO(newline="")
    csv.writer(file).writerow(columns)
    csv.writer(file).writerows(zip(*columns.values(), strict=True))
    return file.getvalue().encode()


def by_name(rows: Any) -> dict[str, list[Any]]:
    """Return rows as columns, in another order."""
    return {
        name: [row[i] for row in rows] for i, name in reversed([*enumerate(COLUMNS)])
    }


def post(
    served: Served, url: str, body: bytes, kind: str = PARQUET, accept: str = "*/*"
) -> httpx.Response:
    """Send a body."""
    return served.post_raw(url, body, {"content-type": kind, "accept": accept})


def read(response: httpx.Response) -> Any:
    """Return a response in Parquet as a table of pyarrow."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == PARQUET
    return parquet.read_table(io.BytesIO(response.content))


def url_of(name: str) -> str:
    """Return a call with a seed, if it takes one."""
    return f"/{name}" if name in {"encode", "reconstruct"} else f"/{name}?seed=3"


@pytest.mark.parametrize("name", EACH_CALL)
def test_every_call_that_takes_x_takes_parquet(named: Served, name: str) -> None:
    """The answer is bit for bit that to rows as arrays."""
    found = post(named, url_of(name), packed(by_name(ROWS)))

    assert found.status_code == 200, found.text
    assert found.json() == named.post(url_of(name), {"x": ROWS}).json()


def test_null_is_imputed(named: Served) -> None:
    """And NaN, as in CSV an empty cell."""
    holes = [[1.5, -2.0, None, 3.0, 0.0], [None, 4.0, -1.0, 2.0, float("nan")]]
    empty = [["" if v is None or v != v else v for v in row] for row in holes]

    found = post(named, "/impute?seed=3", packed(by_name(holes)))

    wanted = post(named, "/impute?seed=3", as_csv(by_name(empty)), CSV)
    assert found.status_code == 200, found.text
    assert found.json() == wanted.json()
    refused = assert_problem(post(named, "/encode", packed(by_name(holes))), 422)
    [fault] = refused["errors"]
    assert fault["pointer"] == "/x/0/a~1b"
    assert fault["detail"] == "row 0, a/b: expected a number, got null"


@pytest.mark.slow("runs each analysis in both formats")
@pytest.mark.parametrize("name", ["encode", "elbo", "anomaly", "impute", "loglik"])
@pytest.mark.parametrize("served", ["named", "mixed"])
def test_answers_have_the_columns_and_the_cells_of_csv(
    request: pytest.FixtureRequest, served: str, name: str
) -> None:
    """Numbers with all bits, words, truth values, and null where a cell is empty."""
    table: Served = request.getfixturevalue(served)
    body = packed(by_name(ROWS) if served == "named" else CELLS)
    url = url_of(name)

    found = read(post(table, url, body, accept=PARQUET))

    text = post(table, url, body, accept=CSV).text
    names, *rows = csv.reader(io.StringIO(text, newline=""))
    assert found.column_names == names
    for i, column in enumerate(found.columns):
        cells = [row[i] for row in rows]
        for cell, value in zip(cells, column.to_pylist(), strict=True):
            if value is None or isinstance(value, str):
                assert cell == (value or "")
            elif isinstance(value, bool):
                assert cell == str(value).lower()
            else:
                assert float(np.float32(cell)) == float(np.float32(value))


def test_samples_go_into_the_next_call(mixed: Served, named: Served) -> None:
    """With every bit; words are categories, and other cells have their types."""
    query = "/sample?n=3&seed=7&draw=sample"
    for served in (mixed, named):
        samples = served.get(query, headers={"accept": PARQUET})
        lines = served.get(query, headers={"accept": CSV})

        assert samples.headers["vae-seed"] == "7"
        codes = post(served, "/encode", samples.content)
        wanted = post(served, "/encode", lines.content, CSV)
        assert codes.status_code == 200, codes.text
        assert codes.json() == wanted.json()
    types = read(mixed.get(query, headers={"accept": PARQUET})).schema
    assert types.field("amount").type == arrow.int64()
    assert types.field("size").type == arrow.float64()
    assert arrow.types.is_dictionary(types.field("group").type)
    assert types.field("flag").type == arrow.bool_()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "none", "use_dictionary": False},
        {"compression": "zstd", "data_page_version": "2.0", "row_group_size": 3},
        {"compression": "gzip", "data_page_size": 1, "write_batch_size": 1},
        {"compression": "lz4", "store_schema": False, "version": "1.0"},
        {"compression": "brotli", "use_byte_stream_split": ["size"]},
    ],
)
def test_a_table_is_what_it_is_in_csv(mixed: Served, options: dict[str, Any]) -> None:
    """However it is written: codecs, pages, row groups, dictionaries."""
    options = {**options}
    if options.get("use_byte_stream_split"):
        options["use_dictionary"] = ["group"]
    table = {"id": np.arange(4).astype("M8[s]"), **CELLS}

    found = post(mixed, "/elbo?seed=1", packed(table, **options), accept=CSV)

    wanted = post(mixed, "/elbo?seed=1", as_csv(CELLS), CSV, accept=CSV)
    assert found.status_code == 200, found.text
    assert found.text == wanted.text


def test_a_cell_may_have_any_plain_type(mixed: Served) -> None:
    """Short floats with their own digits, decimals, unsigned, texts, dictionaries."""
    table = {
        "amount": arrow.array(["12", "0", None, "3"]),
        "size": arrow.array(CELLS["size"], arrow.float32()),
        "group": arrow.array(CELLS["group"]).dictionary_encode(),
        "flag": arrow.array([1, 0, None, 1], arrow.uint8()),
    }
    short = {**CELLS, "size": arrow.array([0.5, 20.3, 9.9, None]).cast("float16")}
    exact = {
        **CELLS,
        "size": arrow.array(CELLS["size"]).cast(arrow.decimal128(9, 1)),
        "flag": arrow.array(["true", "False", "NA", "TRUE"]),
    }
    wanted = post(mixed, "/elbo?seed=1", as_csv(CELLS), CSV).json()

    assert post(mixed, "/elbo?seed=1", packed(table)).json() == wanted
    assert post(mixed, "/elbo?seed=1", packed(exact)).json() == wanted
    rounded = {**CELLS, "size": [0.5, 20.3, 9.9, None]}
    found = post(mixed, "/elbo?seed=1", packed(short)).json()
    assert found == post(mixed, "/elbo?seed=1", as_csv(rounded), CSV).json()


def test_a_column_that_is_absent_is_missing(mixed: Served) -> None:
    """The header says which; a column that training left out is not read."""
    some = {"id": ["x"] * 4, "size": CELLS["size"], "__index_level_0__": [1, 2, 3, 4]}

    found = post(mixed, "/elbo?seed=1", packed(some))

    assert found.status_code == 200, found.text
    assert found.headers["vae-warning"].startswith("no column amount, group, flag")
    wanted = post(mixed, "/elbo?seed=1", as_csv({"size": CELLS["size"]}), CSV)
    assert found.json() == wanted.json()
    none = post(mixed, "/elbo?seed=1", packed({"id": ["x"] * 4}))
    assert none.status_code == 200, none.text


@pytest.mark.parametrize(
    ("change", "pointer", "detail"),
    [
        ({"weight": [1] * 4}, "/x", "got 1 other: weight"),
        ({"group": ["a", "z", "b", None]}, "/x/1/group", "unknown category 'z'"),
        ({"flag": ["a", "b", "a", "a"]}, "/x/0/flag", "row 0, flag: unknown"),
        ({"size": [1, float("inf"), 2, 3]}, "/x/1/size", "row 1, size: expected a fin"),
        ({"amount": ["many"] * 4}, "/x/0/amount", "expected a finite number"),
        ({"amount": np.arange(4).astype("M8[s]")}, "/x", "got dates or times"),
        ({"amount": [b"a"] * 4}, "/x", "numbers, texts or truth values, got bytes"),
        ({"id": [[1], [2], [3], []]}, "", "one with lists or parts"),
    ],
)
def test_what_a_model_cannot_have_is_refused_by_its_name(
    mixed: Served, change: dict[str, Any], pointer: str, detail: str
) -> None:
    """With the place of the cell, counted from 0 as in NumPy."""
    response = post(mixed, "/encode", packed({**CELLS, **change}))

    [fault] = assert_problem(response, 422)["errors"]
    assert fault["pointer"] == pointer
    assert detail in fault["detail"]


def test_an_unknown_category_may_be_taken_as_unseen(mixed: Served) -> None:
    """As in other formats."""
    table = {**CELLS, "group": ["a", "z", "b", None]}

    found = post(mixed, "/encode?unknown=unseen", packed(table))

    wanted = post(mixed, "/encode?unknown=unseen", as_csv(table), CSV)
    assert found.status_code == 200, found.text
    assert found.json() == wanted.json()


def test_too_many_rows_are_refused_before_they_are_read(mixed: Served) -> None:
    """A file of a few kilobytes may have millions."""
    body = packed({"amount": np.zeros(1_000_000, np.int32)})

    response = post(mixed, "/encode", body)

    assert len(body) < 4_000
    assert "rows, got 1000000" in assert_problem(response, 413)["detail"]


def test_the_description_lists_parquet_where_it_is_taken(named: Served) -> None:
    """In /model and in the API's description, where CSV is."""
    types = named.get("/model").json()["media_types"]
    described = named.get("/openapi.json").json()["paths"]

    for name, lists in types.items():
        for side in ("request", "response"):
            listed = lists.get(side, [])
            assert (PARQUET in listed) == (CSV in listed), name
    body = described["/encode"]["post"]["requestBody"]["content"][PARQUET]
    assert "columns" in body["schema"]["description"]
    assert body["schema"]["format"] == "binary"


def test_a_model_without_names_takes_no_parquet(gaussian: Served) -> None:
    """Nor does it answer so."""
    response = post(gaussian, "/encode", packed(by_name(ROWS)))
    asked = gaussian.get("/sample", headers={"accept": PARQUET})

    assert_problem(response, 415)
    assert PARQUET not in assert_problem(asked, 406)["detail"]
