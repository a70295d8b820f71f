"""A last row with sums draws a warning."""

import numpy as np
import pytest

from model.files import Origin
from model.files.sums import note

DATA = np.random.default_rng(0).uniform(1, 9, (20, 3)).round(2)
LINES = list(range(2, 23))
ORIGIN = Origin("t.csv", unit="line")


def with_last(*last: float) -> list[np.ndarray]:
    """Return the columns of the data above a row."""
    return list(np.vstack([DATA, last]).T)


def test_sums_and_names_of_sums_draw_a_warning() -> None:
    """With the line, and what to do."""
    sums = DATA.sum(axis=0)
    assert note(ORIGIN, LINES, with_last(*sums)) == (
        "line 22 of t.csv, the last, holds the sums of the rows above, and is used as"
        " an example like the others: remove it if it is none"
    )
    assert note(ORIGIN, LINES, with_last(sums[0], np.nan, sums[2])) is not None
    named = note(ORIGIN, LINES, with_last(*DATA[0]), ["Total:"])
    assert named is not None
    assert "is called 'Total:'" in named


@pytest.mark.parametrize("last", [DATA[0], DATA.mean(axis=0), (0, 0, 0)])
def test_other_rows_draw_none(last: tuple[float, ...]) -> None:
    """Nor do words that stand for no sum, few rows, or columns of zeros."""
    assert note(ORIGIN, LINES, with_last(*last), ["north"]) is None
    assert note(ORIGIN, [2, 3, 4], [np.array([1.0, 2, 3])]) is None
    assert note(ORIGIN, LINES, [np.zeros(21)]) is None
    assert note(ORIGIN, LINES, [np.full(21, 1e308)]) is None
