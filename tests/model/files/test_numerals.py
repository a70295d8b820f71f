"""Numbers as people write them, with signs and units of one column."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.files.numerals import Decimal, read, read_with_unit
from tests.unhurried import UNHURRIED


@pytest.mark.parametrize(
    ("cell", "decimal", "value", "unit"),
    [
        ("12.5%", ".", 12.5, "%"),
        ("12,5 %", ",", 12.5, "%"),
        ("$1,234.50", ".", 1234.5, "$"),
        ("-$5", ".", -5, "$"),
        ("$-5", ".", -5, "$"),
        ("($1,234.50)", ".", -1234.5, "$"),
        ("(1,234.50)", ".", -1234.5, ""),
        ("1.234,50 €", ",", 1234.5, "€"),
        ("1 234,50\u00a0€", ",", 1234.5, "€"),
        ("1.234,50 EUR", ",", 1234.5, "EUR"),
        ("82.5kg", ".", 82.5, "kg"),
        ("\u22124 °C", ".", -4, "°C"),
        ("1.5e-3 m/s", ".", 0.0015, "m/s"),
        (".5 m²", ".", 0.5, "m²"),
    ],
)
def test_a_number_with_a_unit_is_read(
    cell: str, decimal: Decimal, value: float, unit: str
) -> None:
    """A sign in front or behind, or a short word behind; parentheses are a minus."""
    found = read_with_unit(cell, decimal)

    assert found is not None
    assert (found.value, found.kind, found.unit) == (value, "unit", unit)
    assert read(cell, decimal) is None


@pytest.mark.parametrize(
    "cell",
    [
        *("$", "%", "kg", "5 5", "$5%", "$5 USD", "(5", "5)", "-(+5)", "--5", ""),
        *("2024-01-31", "08:30", "<0.5", "1.2.3", "v1", "A3", "5 kg each"),
        "5" * 50 + "%",
    ],
)
def test_other_texts_are_no_numbers(cell: str) -> None:
    """Neither are dates, limits, versions and names."""
    assert read_with_unit(cell, ".") is None


@pytest.mark.parametrize(
    ("cell", "value"),
    [("\u22121.5", -1.5), ("1\u2019234.5", 1234.5), ("1e\u22123", 1e-3)],
)
def test_typographic_marks_are_read(cell: str, value: float) -> None:
    """As word processors write a minus and an apostrophe."""
    found = read(cell, ".")

    assert found is not None
    assert found.value == value


@pytest.mark.slow("reads a hundred random texts")
@UNHURRIED
@given(st.text(max_size=60))
def test_no_text_fails(text: str) -> None:
    """Whatever it is."""
    found = read_with_unit(text, ".")

    assert found is None or found.kind in {"number", "grouped", "truth", "unit"}
