"""The kinds of columns, inferred from the cells of a file, each with its reason."""

import re
from collections.abc import Sequence

import numpy as np

from model.tables.cells import canonical, is_truth, number_of
from model.tables.raw import UNKEPT, RawColumn
from model.tables.schema import Codes, LeftOut, TableColumn, TableSchema

MOST_LEVELS = 200  # of a column of texts
MOST_WHOLE_LEVELS = 12  # of a column of whole numbers
_LEAST_ROWS = 10  # that distinct values are more than chance
_LIKE_AN_ID = re.compile(
    r"(.*[_ .-])?(ids?|index|idx|uuid|guid|rownames?|row_?(id|nr|number))",
    re.IGNORECASE,
)
# Digits of float64 that the edges of a cell need beyond its value.
_SPARE = 2.0**-46
_LEFT_BEHIND = 1e-13  # of a number
_NEARLY_ALL, _BILLIONTH = 0.95, 1e-9


class ColumnsError(ValueError):
    """No column of a table can be modeled, or a cell is none of its column."""


def inferred(columns: Sequence[RawColumn]) -> TableSchema:
    """
    Infer the kind of every column, or leave it out, with the reason in words.

    Raises:
        ColumnsError: No column is left.
    """
    found = [_inferred(column) for column in columns]
    kept = tuple(column for column in found if isinstance(column, TableColumn))
    left_out = tuple(column for column in found if isinstance(column, LeftOut))
    if not kept:
        why = "; ".join(f"{column.name}: {column.why}" for column in left_out)
        raise ColumnsError(f"no column is left to model: {why}")
    return TableSchema(columns=kept, left_out=left_out)


def codes_of(raw: RawColumn, column: TableColumn) -> Codes:
    """
    Return the codes of the cells of a file, NaN where missing, (N,).

    Raises:
        UnknownCellError: A cell is none of the column.
    """
    if column.has_levels:
        known = [column.code(text, unseen=False) for text in raw.texts]
        table = np.array(
            [*(np.inf if code is None else code for code in known), np.inf, np.nan]
        )
        codes: Codes = table[raw.index]  # the last two are UNKEPT and MISSING
    else:
        codes = np.where(raw.is_text, np.inf, raw.numbers)
    if np.isinf(codes).any():
        raise UnknownCellError(raw, column, int(np.argmax(np.isinf(codes))))
    return codes


class UnknownCellError(ColumnsError):
    """
    A cell of a file that its column cannot have.

    Attributes:
        row: Its index among the rows.
    """

    def __init__(self, raw: RawColumn, column: TableColumn, row: int) -> None:
        index = int(raw.index[row])
        shown = repr(raw.texts[index][:40]) if index >= 0 else "a value"
        wanted = "one of its categories" if column.has_levels else "a number"
        super().__init__(f"holds {shown}, expected {wanted}")
        self.row = row


def _inferred(raw: RawColumn) -> TableColumn | LeftOut:
    present = raw.is_present
    n, name = int(present.sum()), raw.name
    if not n:
        return LeftOut(name=name, why="it has no values")
    if raw.is_text.any():
        return _of_texts(raw, n)
    numbers = raw.numbers[present]
    values = np.unique(numbers)
    is_whole = bool((values == np.floor(values)).all())
    if len(values) == 1:
        return LeftOut(name=name, why=f"all its values are {values[0]:g}")
    if is_whole and _is_id(name, numbers, len(values)):
        return LeftOut(name=name, why=f"its {n} whole numbers look like an identifier")
    if len(values) == 2:
        return TableColumn(
            name=name, kind="binary", categories=_levels(values), why="two values"
        )
    if is_whole and len(values) <= MOST_WHOLE_LEVELS:
        why = f"whole numbers with {len(values)} values"
        return TableColumn(
            name=name, kind="categorical", categories=_levels(values), why=why
        )
    resolution = _resolution(numbers, 0 if is_whole else raw.n_decimals)
    return TableColumn(
        name=name,
        kind="numeric",
        resolution=resolution,
        why=f"numbers, to {resolution:g}",
    )


def _of_texts(raw: RawColumn, n: int) -> TableColumn | LeftOut:
    name, used = raw.name, np.unique(raw.index[raw.is_present])
    if used[0] == UNKEPT:
        return LeftOut(name=name, why="its texts have too many values")
    texts = sorted({_text(raw.texts[i]) for i in used})
    if len(texts) == 1:
        return LeftOut(name=name, why=f"all its values are {texts[0][:40]!r}")
    if all(map(is_truth, texts)):
        return TableColumn(
            name=name, kind="binary", categories=(False, True), why="truth values"
        )
    if len(texts) == 2:
        return TableColumn(
            name=name, kind="binary", categories=tuple(texts), why="two values"
        )
    if len(texts) == n and n >= _LEAST_ROWS:
        return LeftOut(name=name, why=f"its {n} texts are all different")
    if len(texts) > MOST_LEVELS:
        why = f"its texts have {len(texts)} values, more than {MOST_LEVELS}"
        return LeftOut(name=name, why=why)
    why = f"texts with {len(texts)} values"
    return TableColumn(name=name, kind="categorical", categories=tuple(texts), why=why)


def _text(cell: str) -> str:
    """Return one text for a cell: truth values in lower case, 3.0 as 3."""
    if is_truth(cell):
        return cell.strip().lower()
    number = number_of(cell)
    return cell.strip() if number is None else canonical(number)


def _levels(values: Codes) -> tuple[int | float, ...]:
    return tuple(int(v) if v == np.floor(v) else float(v) for v in values)


def _is_id(name: str, numbers: Codes, n_values: int) -> bool:
    """Say whether whole numbers count or name the rows."""
    if n_values < len(numbers) or len(numbers) < _LEAST_ROWS:
        return False
    steps = np.diff(numbers)
    in_order = bool((steps > 0).all() or (steps < 0).all())
    return in_order or _LIKE_AN_ID.fullmatch(name) is not None


def _resolution(numbers: Codes, n_decimals: int) -> float:
    """
    Return the width of a cell: that of the decimals, unless float64 is coarser.

    What arithmetic leaves behind, as in 0.30000000000000004, is no decimal, and neither
    is a rest of a billionth of the largest number, in at most one of twenty rows.
    """
    most = float(np.abs(numbers).max())
    for n in range(n_decimals):
        off = np.abs(numbers - np.round(numbers, n))
        is_whole = off <= _LEFT_BEHIND * np.abs(numbers)
        if is_whole.mean() >= _NEARLY_ALL and off.max() <= _BILLIONTH * most:
            n_decimals = n
            break
    resolution = float(f"1e-{n_decimals}")
    while resolution < most * _SPARE:
        resolution *= 10
    return float(f"{resolution:.0e}")
