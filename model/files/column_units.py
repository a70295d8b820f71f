"""The units of a file's columns, compared with those that training found."""

from model.data_config import Data
from model.files.contents import ColumnUnit, DataError, Origin

_LISTED = 8  # columns in a message
# In plain numbers 12 % is 0.12, and it is read as 12: only the training knew which.
_SHARES = "%\u2030"


def check(origin: Origin, trained: Data) -> tuple[str, ...]:
    """
    Check that numbers with a unit have that of the training; return notes for the user.

    Numbers without a unit are taken to be in that of the training.

    Raises:
        DataError: A column has another unit, or is in percent and had no unit.
    """
    wanted = trained.column_units or ()
    notes = []
    for found in origin.column_units:
        unit = wanted[found.column] if found.column < len(wanted) else None
        notes += _compare(origin, found, unit)
    with_unit = {found.column for found in origin.column_units}
    plain = [words for d, words in trained.unit_words.items() if d not in with_unit]
    if plain:
        more = f" and {len(plain) - _LISTED} more" if len(plain) > _LISTED else ""
        notes.append(
            f"numbers without a unit in {origin.file} are taken to be in that of the"
            f" training: {', '.join(plain[:_LISTED])}{more}"
        )
    return tuple(notes)


def _compare(origin: Origin, found: ColumnUnit, wanted: str | None) -> list[str]:
    """Return notes on a column with a unit, or refuse it, as `check` does."""
    unit = repr(found.unit)
    place = origin.value(found.row, (found.column,))
    if wanted is None and found.unit in _SHARES:
        raise DataError(
            f"{place} has a number in {unit}, and the checkpoint has no unit for it, so"
            " that 12 % may be 12 or 0.12: write the column as the training had it,"
            f" without {unit}"
        )
    if wanted is None:
        note = (
            f"{place} has a number in {unit}, and the checkpoint has no unit for it:"
            f" check that the training had the column in {unit}"
        )
        return [note]
    if wanted != found.unit:
        raise DataError(
            f"{place} has a number in {unit}, and the training had the column in"
            f" {wanted!r}: convert the column, or leave the unit out if its numbers are"
            f" in {wanted!r}"
        )
    return []
