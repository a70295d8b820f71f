"""A last row with the sums or means of the rows above, as spreadsheets have it."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from model.files.contents import Origin

_WORDS = frozenset(
    [
        *("total", "totals", "grand total", "subtotal", "sum", "sums", "mean"),
        *("average", "summe", "gesamt", "gesamtsumme", "insgesamt", "mittelwert"),
        "durchschnitt",
    ]
)
_LEAST_ROWS = 10  # that a sum is more than chance
_LEAST_VALUES = 5  # other than 0, of a column
_ROUNDING = 1e-6


def note(
    origin: Origin,
    rows: Sequence[int] | NDArray[np.int64],
    numbers: Iterable[NDArray[np.float64]],
    words: Iterable[str] = (),
) -> str | None:
    """
    Return a warning if the last row looks like sums, else None.

    Args:
        origin: Where the rows are from.
        rows: The place of each row in it, (N,).
        numbers: The numbers of each column, (N,), NaN where there is none.
        words: Texts that only the last row has.
    """
    found = [word for word in words if word.strip(" :").lower() in _WORDS]
    if found:
        why = f"is called {found[0]!r}"
    elif len(rows) > _LEAST_ROWS and _are_sums(numbers):
        why = "holds the sums of the rows above"
    else:
        return None
    return (
        f"{origin.example(int(rows[-1]))}, the last, {why}, and is used as an example"
        " like the others: remove it if it is none"
    )


def _are_sums(numbers: Iterable[NDArray[np.float64]]) -> bool:
    """Return whether most last values are the sums of those before."""
    n, n_sums = 0, 0
    for column in numbers:
        above, last = np.nan_to_num(column[:-1]), column[-1]
        if np.isfinite(last) and np.count_nonzero(above) >= _LEAST_VALUES:
            n += 1
            with np.errstate(over="ignore"):  # infinity is less than nothing
                off = abs(last - above.sum())
                n_sums += off < _ROUNDING * np.abs(above).sum()
    return n_sums > 0 and 2 * n_sums >= n
