"""Columns of mixed tables as people write them."""

import numpy as np
import pytest

from model.files import DataError
from model.files.mixed_cells import MixedCells
from model.tables.raw import MAX_TEXTS, RawColumn


def column(*cells: str) -> MixedCells:
    """Return a column of cells."""
    found = MixedCells("x", ".")
    for cell in cells:
        found.add(cell)
    return found


def finished(*cells: str) -> RawColumn:
    """Return a column of cells, finished."""
    return column(*cells).finished()


@pytest.mark.parametrize(
    ("cells", "numbers", "n_decimals"),
    [
        (("5%", "7.25 %", ""), [5, 7.25, np.nan], 2),
        (("$1,234.50", "$3"), [1234.5, 3], 1),
        (("1,234.25", "3"), [1234.25, 3], 2),
        (("(5.5)", "7"), [-5.5, 7], 1),
        (("\u22125.5", "7"), [-5.5, 7], 1),
    ],
)
def test_numbers_of_one_unit_are_numbers(
    cells: tuple[str, ...], numbers: list[float], n_decimals: int
) -> None:
    """With the decimals that they are written with."""
    found = finished(*cells)

    np.testing.assert_array_equal(found.numbers, numbers)
    assert found.n_decimals == n_decimals
    assert not found.is_text.any()


def test_a_unit_is_said() -> None:
    """With an example."""
    assert column("5 kg", "6 kg").notes() == (
        "the numbers of column 'x' have the unit 'kg': '5 kg' is read as 5",
    )
    assert column("5", "6", "a").notes() == ()


def test_separators_of_thousands_are_said() -> None:
    """With an example, as of a table of numbers alone."""
    (note,) = column("5", "1,234.5", "2,000").notes()

    assert note == (
        "the numbers of column 'x' have separators of thousands: '1,234.5' is read as"
        " 1234.5"
    )


def test_cells_of_several_units_are_texts() -> None:
    """Such as 12a and 12b."""
    found = finished("12a", "12b", "3", "")

    np.testing.assert_array_equal(found.is_text, [True, True, False, False])
    assert [found.texts[i] for i in found.index[:3]] == ["12a", "12b", "3"]


@pytest.mark.parametrize("cells", [("12%", "0.12"), ("$5", "5 €"), ("5", "5 €")])
def test_amounts_in_several_units_are_refused(cells: tuple[str, ...]) -> None:
    """12% and 0.12 would be two numbers for one share."""
    with pytest.raises(DataError, match="write all its numbers in one unit"):
        finished(*cells)


def test_words_are_kept_among_many_numbers() -> None:
    """The word that stands for a gap is known, though numbers came first."""
    found = finished(*(f"{i}.5" for i in range(2 * MAX_TEXTS)), "n.d.")

    assert found.words == ("n.d.",)
    assert found.last_word == "n.d."
    assert found.as_numbers().is_present.sum() == 2 * MAX_TEXTS
