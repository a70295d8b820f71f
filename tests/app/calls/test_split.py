"""Rows by name in JSON: with the names before the rows, or as records, both ways."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from app.wire.json.strict import MAX_EXPLAINED_BYTES
from tests.app.served import Served, assert_problem
from tests.tiny import save_table

COLUMNS = ("height", "x", "a/b", "z", "größe")
OTHER = COLUMNS[::-1]
ROWS = [[1.5, -2.0, 0.25, 3.0, 0.0], [0.5, 4.0, -1.0, 2.0, 1.0]]
MASK = [[1, 1, 0, 1, 1], [0, 1, 1, 1, 0]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a model of a table with a column named x and one named z."""
    path = tmp_path_factory.mktemp("table") / "table"
    with Served(save_table(path, COLUMNS)) as served:
        yield served


def split(rows: list[list[Any]], **more: Any) -> dict[str, Any]:
    """Return rows under their names, which are in another order."""
    return {"columns": list(OTHER), **more, "data": [row[::-1] for row in rows]}


def records(rows: list[list[Any]]) -> list[dict[str, Any]]:
    """Return rows as objects, with their columns in another order."""
    return [dict(zip(OTHER, row[::-1], strict=True)) for row in rows]


@pytest.mark.parametrize("more", [{}, {"index": [4, 7]}])
@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/encode", {}),
        ("/elbo", {"seed": 3}),
        ("/reconstruct", {}),
        ("/loglik", {"seed": 3, "n_samples": 8}),
        ("/anomaly", {"seed": 3}),
        ("/interpolate", {"n": 3}),
        ("/impute", {"seed": 3, "mask": MASK}),
    ],
)
def test_rows_may_come_under_their_names(
    table: Served, path: str, options: dict[str, Any], more: dict[str, Any]
) -> None:
    """In any order: the answer is bit for bit that to rows as arrays."""
    by_name = table.post(path, {**options, "x": split(ROWS, **more)})

    assert by_name.status_code == 200, by_name.text
    as_arrays = table.post(path, {"x": ROWS, **options})
    assert {**by_name.json(), "seed": 0} == {**as_arrays.json(), "seed": 0}


@pytest.mark.parametrize("path", ["/interpolate", "/traverse"])
def test_columns_may_be_named_x_and_z(table: Served, path: str) -> None:
    """They are not taken for the arrays of these names."""
    rows = ROWS if path == "/interpolate" else ROWS[:1]
    for x in (records(rows), split(rows)):
        by_name = table.post(path, {"x": x, "n": 3})

        assert by_name.status_code == 200, by_name.text
        assert by_name.json() == table.post(path, {"x": rows, "n": 3}).json()


@pytest.mark.parametrize("spaces", [False, True])
def test_long_tables_of_numbers_are_read_too(table: Served, spaces: bool) -> None:
    """In pieces, with every bit."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4_000, 5)).astype(np.float32).tolist()
    separators = None if spaces else (",", ":")
    body = json.dumps({"x": split(rows)}, separators=separators).encode()
    assert len(body) > 2 * MAX_EXPLAINED_BYTES

    found = table.post_raw("/encode", body)

    assert found.status_code == 200, found.text
    assert found.json() == table.post("/encode", {"x": rows}).json()


@pytest.mark.parametrize(
    ("x", "pointer", "detail"),
    [
        ({"columns": [*OTHER]}, "/x", "columns and data, got no data"),
        ({"data": ROWS}, "/x", "columns and data, got no columns"),
        (split(ROWS, more=1), "/x", "columns and data only, got 1 other"),
        (split(ROWS) | {"columns": "ab"}, "/x/columns", "expected an array of names"),
        (split(ROWS) | {"columns": [1] * 5}, "/x/columns", "an array of names"),
        (split(ROWS) | {"columns": OTHER[1:]}, "/x/columns", "got none for größe"),
        (split(ROWS) | {"columns": (*OTHER, "age")}, "/x/columns", "1 other: age"),
        (split(ROWS) | {"columns": (*OTHER, "x")}, "/x/columns", "got x twice"),
        (split(ROWS) | {"data": 3}, "/x/data", "expected an array of rows, got 3"),
        (split(ROWS) | {"data": []}, "/x", "got no rows"),
        (split(ROWS) | {"data": [ROWS[0], 3]}, "/x/data/1", "an array of 5 values"),
        (split(ROWS) | {"data": [[1, 2]]}, "/x/data/0", "an array of 5 values"),
        (split([*ROWS, [1, 2, None, 4, 5]]), "/x/data/2/2", "a/b: expected a number"),
        (split([[1, 2, 3, 4, "5"]]), "/x/data/0/0", "größe: expected a number"),
        (split([[1, 2, True, 4, 5]]), "/x/data/0/2", "a/b: expected a number"),
    ],
)
def test_what_is_no_table_of_the_model_is_refused(
    table: Served, x: Any, pointer: str, detail: str
) -> None:
    """By the place in the body as it was sent."""
    [fault, *_] = assert_problem(table.post("/encode", {"x": x}), 422)["errors"]

    assert fault["pointer"] == pointer
    assert detail in fault["detail"]


@pytest.mark.parametrize("value", ["null", '"5"', "1e999", "[1]"])
def test_a_fault_in_a_long_table_has_its_place(table: Served, value: str) -> None:
    """The row at least; the column where the value is a number."""
    rows = [[0.123456789, 1.123456789, 2.123456789, 3.5, 4.5]] * 4_000
    body = json.dumps({"x": split([*rows, [0, 0, 7777, 0, 0]])})
    assert len(body) > MAX_EXPLAINED_BYTES

    response = table.post_raw("/encode", body.replace("7777", value).encode())

    [fault, *_] = assert_problem(response, 422)["errors"]
    assert fault["pointer"].startswith("/x/data/4000")


def test_a_long_table_has_its_names_first(table: Served) -> None:
    """Otherwise the error says so."""
    x = split([[0.123456789] * 5] * 4_000)
    body = {"x": {"data": x["data"], "columns": x["columns"]}}

    [fault] = assert_problem(table.post("/encode", body), 422)["errors"]

    assert "columns first and then data" in fault["detail"]


@pytest.mark.slow("imputes rows")
def test_null_is_a_missing_value_to_impute(table: Served) -> None:
    """Rows by name need no mask."""
    holes = [
        [value if known else None for value, known in zip(*pair, strict=True)]
        for pair in zip(ROWS, MASK, strict=True)
    ]
    wanted = table.post("/impute", {"x": ROWS, "mask": MASK, "seed": 3}).json()

    for x in (records(holes), split(holes)):
        found = table.post("/impute", {"x": x, "seed": 3})

        assert found.status_code == 200, found.text
        assert found.json() == wanted
    problem = assert_problem(table.post("/impute", {"x": ROWS, "seed": 3}), 422)
    assert problem["errors"][0]["pointer"] == "/mask"


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("/sample", {"n": 3, "seed": 1}, ["x"]),
        ("/sample", {"n": 4_000, "seed": 1}, ["x"]),
        ("/decode", {"z": [[0, 0], [1, 0]]}, ["mean", "log_var"]),
        ("/reconstruct", {"x": ROWS}, ["x"]),
        ("/reconstruct", {"x": ROWS, "n_samples": 3, "seed": 1}, ["x"]),
        ("/anomaly", {"x": ROWS, "seed": 1}, ["surprise_per_dim"]),
        ("/interpolate", {"x": ROWS, "n": 4}, ["mean"]),
        ("/traverse", {"x": ROWS[:1], "n": 4}, ["mean"]),
        (
            "/impute",
            {"x": ROWS, "mask": MASK, "seed": 1, "n_samples": 2},
            ["mean", "mean_standard_error", "variance", "samples"],
        ),
    ],
)
def test_answers_are_in_the_form_that_is_asked_for(
    table: Served, path: str, body: dict[str, Any], names: list[str]
) -> None:
    """Rows of data by name, with the numbers of arrays; all else as ever."""
    arrays = table.post(path, body).json()

    split_answer = table.post(path, {**body, "orient": "split"}).json()
    by_record = table.post(f"{path}?orient=records", body).json()

    assert list(split_answer) == list(by_record) == list(arrays)
    for name, value in arrays.items():
        if name not in {*names, "variance_standard_error"}:
            assert split_answer[name] == by_record[name] == value
            continue
        assert split_answer[name] == {"columns": list(COLUMNS), "data": value}
        flat = np.array(by_record[name]).reshape(-1).tolist()
        assert all(list(record) == list(COLUMNS) for record in flat)
        numbers = [list(record.values()) for record in flat]
        assert numbers == np.array(value).reshape(-1, 5).tolist()


def test_rows_by_name_go_into_the_next_call(table: Served) -> None:
    """As they came."""
    for orient in ("records", "split"):
        x = table.get(f"/sample?n=3&seed=1&orient={orient}").json()["x"]

        assert table.post("/encode", {"x": x}).status_code == 200


@pytest.mark.parametrize("kind", ["application/vnd.safetensors", "text/csv"])
def test_only_json_has_forms(table: Served, kind: str) -> None:
    """Other formats have one."""
    asked = table.get("/sample?orient=split", headers={"accept": kind})

    [fault] = assert_problem(asked, 422)["errors"]
    assert fault["pointer"] == "/orient"
    assert "only for a response in application/json" in fault["detail"]


def test_a_model_without_names_has_arrays_only(gaussian: Served) -> None:
    """And its description does not have the option."""
    assert gaussian.get("/sample?orient=arrays").status_code == 200
    [fault] = assert_problem(gaussian.get("/sample?orient=split"), 422)["errors"]
    assert fault["detail"] == (
        "expected arrays: the columns of this model have no names"
    )
    assert "orient" not in gaussian.get("/openapi.json").text


def test_the_description_has_every_form(table: Served) -> None:
    """Of requests and of answers, also of draws."""
    schemas = table.get("/openapi.json").json()["components"]["schemas"]

    asked = schemas["EncodeRequest"]["properties"]["x"]["oneOf"]
    assert [form["type"] for form in asked] == ["array", "object", "array"]
    names = asked[1]["properties"]["columns"]
    assert names["items"]["enum"] == list(COLUMNS)
    answered = schemas["SampleResponse"]["properties"]["x"]["oneOf"]
    assert answered[2]["items"]["required"] == list(COLUMNS)
    draws = schemas["ReconstructResponse"]["properties"]["x"]["oneOf"]
    assert len(draws) == 6
    assert draws[4]["properties"]["data"]["items"] == draws[0]
    samples = schemas["ImputeResponse"]["properties"]["samples"]["oneOf"]
    assert samples[1] == draws[4]
