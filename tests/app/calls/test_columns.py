"""Names of columns: in /model, in requests as records, in errors, and in answers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.wire.json.strict import MAX_EXPLAINED_BYTES
from model.config import Config
from tests.app.named_columns import COLUMNS, ROWS
from tests.app.served import Served, assert_problem
from tests.tiny import save_tiny, tiny_config, tiny_vae

OTHER = COLUMNS[::-1]


def records(rows: list[list[Any]]) -> list[dict[str, Any]]:
    """Return rows as objects, with their columns in another order."""
    named = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    return [{name: row[name] for name in OTHER} for row in named]


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/encode", {}),
        ("/elbo", {"seed": 3}),
        ("/reconstruct", {}),
        ("/loglik", {"seed": 3, "n_samples": 8}),
        ("/anomaly", {"seed": 3}),
        pytest.param("/posterior", {}, marks=pytest.mark.slow("integrates")),
        ("/interpolate", {"n": 3}),
        ("/impute", {"seed": 3, "mask": [[1, 1, 0, 1, 1], [0, 1, 1, 1, 1]]}),
    ],
)
def test_rows_may_be_records_by_name(
    named: Served, path: str, options: dict[str, Any]
) -> None:
    """In any order: the answer is bit for bit that to rows as arrays."""
    by_name = named.post(path, {"x": records(ROWS), **options})
    as_arrays = named.post(path, {"x": ROWS, **options})

    assert by_name.status_code == 200, by_name.text
    assert {**by_name.json(), "seed": 0} == {**as_arrays.json(), "seed": 0}


def test_the_description_of_what_is_imputed_has_gaps(named: Served) -> None:
    """By name null is a missing value; an array has a mask, and numbers alone."""
    document = named.get("/openapi.json").json()

    impute = document["components"]["schemas"]["ImputeRequest"]["properties"]
    arrays, split, by_name = impute["x"]["oneOf"]
    known, _, flags = impute["mask"]["oneOf"]
    assert arrays["items"]["items"]["type"] == "number"
    assert split["properties"]["data"]["items"]["items"]["type"] == ["number", "null"]
    assert by_name["items"]["properties"]["mass"]["type"] == ["number", "null"]
    assert flags["items"]["properties"]["mass"] == known["items"]["items"]


def test_a_mask_may_be_records_too(named: Served) -> None:
    """With 1 where a value is known."""
    mask = [[1, 1, 0, 1, 1], [0, 1, 1, 1, 1]]
    body = {"x": records(ROWS), "mask": records(mask), "seed": 3}

    by_name = named.post("/impute", body)

    assert by_name.status_code == 200, by_name.text
    assert by_name.json() == named.post("/impute", {**body, "mask": mask}).json()


@pytest.mark.parametrize(
    ("change", "pointer", "detail"),
    [
        ({"mass": None}, "/x/1/mass", "expected a number, got null"),
        ({"a/b": "3"}, "/x/1/a~1b", "expected a number, got a string"),
        ({"x~y": True}, "/x/1/x~0y", "expected a number, got a boolean"),
        ({"größe": [1]}, "/x/1/größe", "expected a number, got an array"),
        (
            {"unknown": 1},
            "/x/1",
            "expected only columns of the model, got 1 other: unknown",
        ),
    ],
)
def test_a_bad_record_is_refused_by_row_and_name(
    named: Served, change: dict[str, Any], pointer: str, detail: str
) -> None:
    """The pointer is that of the body as it was sent."""
    x = records(ROWS)
    x[1] |= change

    response = named.post("/encode", {"x": x})

    [fault] = assert_problem(response, 422)["errors"]
    assert fault["pointer"] == pointer
    assert detail in fault["detail"]


@pytest.mark.parametrize("name", ["<script>", "a" * 41, "\x1b[0m"])
def test_a_name_that_is_long_or_odd_is_not_repeated(named: Served, name: str) -> None:
    """Only its number is given."""
    x = records(ROWS)
    x[1][name] = 1

    [fault] = assert_problem(named.post("/encode", {"x": x}), 422)["errors"]

    assert "of the model, got 1 other; it has " in fault["detail"]
    assert name not in fault["detail"]


def test_a_number_that_does_not_fit_is_refused_by_name(named: Served) -> None:
    """The pointer of what is checked later has the name too."""
    body = json.dumps({"x": records(ROWS)}).replace("4.0", "1e999")

    [fault] = assert_problem(named.post_raw("/encode", body.encode()), 422)["errors"]

    assert fault["pointer"] == "/x/1/mass"


@pytest.mark.parametrize("left_out", [1, 4])
def test_a_column_that_is_missing_is_named(named: Served, left_out: int) -> None:
    """Of the model's columns, which are no secret."""
    x = records(ROWS)
    for name in COLUMNS[:left_out]:
        del x[0][name]

    [fault] = assert_problem(named.post("/encode", {"x": x}), 422)["errors"]

    assert fault["pointer"] == "/x/0"
    assert f"got none for {', '.join(COLUMNS[:left_out])}" in fault["detail"]


def test_records_and_arrays_are_not_mixed(named: Served) -> None:
    """In either order."""
    mixed = [records(ROWS)[0], ROWS[1]]

    [fault] = assert_problem(named.post("/encode", {"x": mixed}), 422)["errors"]
    assert "as in the first row" in fault["detail"]

    [fault] = assert_problem(named.post("/encode", {"x": mixed[::-1]}), 422)["errors"]
    assert "got an object in place of an array" in fault["detail"]


def test_a_long_body_of_records_is_read_too(named: Served) -> None:
    """In pieces, with every bit."""
    rows = ROWS * (MAX_EXPLAINED_BYTES // 60)

    found = named.post("/encode", {"x": records(rows)})

    assert found.status_code == 200, found.text
    assert found.json() == named.post("/encode", {"x": rows}).json()


def test_a_model_without_names_takes_no_records(gaussian: Served) -> None:
    """And /model says null."""
    response = gaussian.post("/encode", {"x": [{"a": 1}]})

    assert "got an object" in assert_problem(response, 422)["errors"][0]["detail"]
    assert gaussian.get("/model").json()["columns"] is None


def test_names_are_in_the_answers(named: Served) -> None:
    """/model and /anomaly have them, as JSON and in the metadata of safetensors."""
    assert named.get("/model").json()["columns"] == list(COLUMNS)

    anomaly = named.post("/anomaly", {"x": ROWS, "seed": 1})
    accept = {"accept": "application/vnd.safetensors"}
    binary = named.post("/anomaly", {"x": ROWS, "seed": 1}, headers=accept)

    assert anomaly.json()["columns"] == list(COLUMNS)
    assert np.shape(anomaly.json()["surprise_per_dim"]) == (2, 5)
    length = int.from_bytes(binary.content[:8], "little")
    metadata = json.loads(binary.content[8 : 8 + length])["__metadata__"]
    assert json.loads(metadata["columns"]) == list(COLUMNS)


def test_units_of_columns_are_in_the_description(named: Served, tmp_path: Path) -> None:
    """/model has those that the columns had in training, or null."""
    config = tiny_config("gaussian", data_shape=(2,))
    data = {**config.data.model_dump(), "column_units": ("kg", None)}
    config = Config.model_validate({**config.model_dump(), "data": data})

    with Served(save_tiny(tmp_path / "units", tiny_vae(config))) as served:
        units = served.get("/model").json()["column_units"]

    assert units == ["kg", None]
    assert named.get("/model").json()["column_units"] is None


def test_the_documentation_has_records(named: Served) -> None:
    """With every column, required, and no other."""
    document = named.get("/openapi.json").json()

    x = document["components"]["schemas"]["EncodeRequest"]["properties"]["x"]
    record = x["oneOf"][-1]["items"]
    assert list(record["properties"]) == list(COLUMNS)
    assert record["required"] == list(COLUMNS)
    assert record["additionalProperties"] is False


@pytest.mark.slow("sends every example")
def test_every_example_by_name_runs(named: Served) -> None:
    """Each call that takes x has one beside that of arrays, with the same answer."""
    document = named.get("/openapi.json").json()

    n_examples = 0
    for path, item in document["paths"].items():
        body = item.get("post", {}).get("requestBody", {}).get("content", {})
        examples = body.get("application/json", {}).get("examples", {})
        if len(examples) == 2:  # the first is shown
            assert next(iter(examples)) == "Rows by the names of their columns"
            n_examples += 1
            shown = json.dumps(next(iter(examples.values()))["value"])
            assert ("null" in shown) == (path == "/impute")
            answers = [named.post(path, one["value"]) for one in examples.values()]
            assert [answer.status_code for answer in answers] == [200, 200]
            found, wanted = ({**answer.json(), "seed": 0} for answer in answers)
            assert found == wanted

    assert n_examples == 10


def test_the_documentation_of_other_models_has_none(gaussian: Served) -> None:
    """Only tables with names are asked for by name."""
    assert "A row by the names" not in gaussian.get("/openapi.json").text
