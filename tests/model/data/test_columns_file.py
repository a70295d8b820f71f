"""The file of columns that `--columns` names, which people edit by hand."""

from pathlib import Path

import pytest

from model.data import mixed
from model.files import DataError, ReadOptions
from model.tables.schema import Kind, TableSchema
from tests.model.tables.tables import number

KINDS = "'numeric', 'real', 'student', 'lognormal', 'count', 'ordinal', 'binary'"


@pytest.mark.parametrize(
    ("column", "fault"),
    [
        (
            '{"name": "age", "kind": "number"}',
            f"columns.0.kind: expected {KINDS} or 'categorical', got \"number\"",
        ),
        (
            '{"name": 7, "kind": "real"}',
            "columns.0.name: expected a valid string, got 7",
        ),
    ],
)
def test_a_slip_in_it_is_said_with_what_was_expected_and_what_came(
    tmp_path: Path, column: str, fault: str
) -> None:
    """The error names the place, what is possible there, and what is there."""
    path = tmp_path / "people.columns.json"
    path.write_text(f'{{"columns": [{column}]}}', encoding="utf-8")

    with pytest.raises(DataError) as refused:
        mixed.read_schema(path)

    assert str(refused.value) == f"--columns {path}: {fault}"


@pytest.mark.parametrize("kind", ["lognormal", "count"])
def test_a_column_of_a_kind_without_negative_numbers_has_none(
    tmp_path: Path, kind: Kind
) -> None:
    """Half of its rows would be impossible; a trained model gives them what it can."""
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,0\n,2\n-2,1\n", encoding="utf-8")
    schema = TableSchema(columns=(number("a", kind), number("b")))

    with pytest.raises(DataError) as refused:
        mixed.read(path, ReadOptions(), schema)
    trained = schema.model_copy(update={"n_knots": 9})

    what = "column 'a' holds -2; a column of the kind"
    assert str(refused.value).startswith(f"line 4 of x.csv, {what} {kind} has no")
    assert mixed.read(path, ReadOptions(), trained).rows.x[2, 0] == -2
