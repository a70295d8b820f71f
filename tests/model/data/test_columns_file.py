"""The file of columns that `--columns` names, which people edit by hand."""

from pathlib import Path

import pytest

from model.data import mixed
from model.files import DataError

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
