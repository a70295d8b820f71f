"""JSON schemas of cells are of forms that generators of clients accept."""

from typing import Any

import pytest

from app.call_parts.row_schemas import forms, one_of, rows
from model.tables.schema import TableSchema
from tests.model.tables.tables import MIXED


@pytest.mark.parametrize("values", [("a", "b"), (">50K", "<=5K"), (2007, 2008)])
def test_texts_and_integers_are_an_enum(values: tuple[Any, ...]) -> None:
    """A generator makes a class of it, with a member for each value."""
    assert one_of(values) == {"enum": [*values]}


@pytest.mark.parametrize(
    ("values", "kinds", "listed"),
    [
        ((False, True), ["boolean"], "false, true"),
        ((0.5, 1.5), ["number"], "0.5, 1.5"),
        ((1, True, "x"), ["boolean", "number", "string"], '1, true, "x"'),
        (("A+", "A-"), ["string"], '"A+", "A-"'),
        (("Yes", "yes", None), ["string", "null"], '"Yes", "yes"'),
        (("ü+", "ü-"), ["string"], '"ü+", "ü-"'),
    ],
)
def test_values_that_a_generator_cannot_name_are_described(
    values: tuple[Any, ...], kinds: list[str], listed: str
) -> None:
    """Truth values, fractions, mixed types, texts that differ in signs or case."""
    assert one_of(values) == {"type": kinds, "description": f"One of {listed}."}


def test_a_cell_is_one_of_the_categories_or_missing() -> None:
    """In each form, null is allowed beside them."""
    columns = [column.name for column in MIXED]

    _, split, records = forms(rows((4,), 1, 9), columns, TableSchema(columns=MIXED))

    cells = records["items"]["properties"]
    assert cells["size"] == {"type": ["number", "null"]}
    assert cells["group"] == {"enum": ["a", "b", "c", None]}
    assert cells["flag"]["type"] == ["boolean", "null"]
    assert split["properties"]["columns"]["items"] == {
        "type": "string",
        "enum": columns,
    }


def test_columns_that_a_generator_confuses_are_no_properties() -> None:
    """It would leave out every operation whose rows have such columns."""
    columns = ["income=<=50K", "income=>50K"]

    arrays, split, records = forms(rows((2,), 9, 1), columns, None)

    assert records["items"]["additionalProperties"] == {"type": "number"}
    assert records["items"]["minProperties"] == records["items"]["maxProperties"] == 2
    assert "properties" not in records["items"]
    assert split["properties"]["columns"]["items"] == {
        "type": "string",
        "description": 'One of "income=<=50K", "income=>50K".',
    }
    assert split["properties"]["data"] == arrays == rows((2,), 9, 1)
