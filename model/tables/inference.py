"""The kinds of columns, inferred from the cells of a file, each with its reason."""

import re
import shlex
from collections.abc import Sequence

import numpy as np

from model.tables import dates, refusals
from model.tables.cells import is_missing_number, is_truth, show
from model.tables.raw import UNKEPT, RawColumn
from model.tables.schema import Codes, LeftOut, TableColumn, TableSchema

MOST_LEVELS = 200  # of a column of texts
MOST_WHOLE_LEVELS = 12  # of a column of whole numbers, or of dates
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
    """No column of a table can be modeled, or a cell does not fit its column."""


def infer(columns: Sequence[RawColumn]) -> TableSchema:
    """
    Infer the kind of every column, or leave it out, with the reason in words.

    Raises:
        ColumnsError: No column is left.
    """
    found = [_infer_column(column) for column in columns]
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
        UnknownCellError: A cell does not fit the column.
    """
    if column.has_levels:
        known = [_level(column, raw, text) for text in raw.texts]
        table = np.array(
            [*(np.inf if code is None else code for code in known), np.inf, np.nan]
        )
        codes: Codes = table[raw.index]  # the last two are UNKEPT and MISSING
    else:
        raw = raw.as_numbers()
        codes = np.where(raw.is_text, np.inf, raw.numbers)
    if np.isinf(codes).any():
        row = int(np.argmax(np.isinf(codes)))
        wanted = "a number"
        if len(raw.units) > 1:
            units = [f"in {unit!r}" if unit else "without a unit" for unit in raw.units]
            wanted = f"numbers in one unit, got some {' and some '.join(units[:2])}"
        if column.has_levels:
            text = raw.texts[raw.index[row]] if raw.index[row] >= 0 else ""
            meant = refusals.known(text, column.categories or ())
            wanted = f"one of its categories; {meant}"
        raise UnknownCellError(raw, row, f"expected {wanted}")
    return codes


class UnknownCellError(ColumnsError):
    """
    A cell of a file that its column cannot have.

    Attributes:
        row: Its index among the rows.
    """

    def __init__(self, raw: RawColumn, row: int, why: str) -> None:
        index = int(raw.index[row])
        shown = repr(raw.texts[index][:40]) if index >= 0 else "a value"
        super().__init__(f"column {raw.name!r} holds {shown}, {why}")
        self.row = row


def unit_of(raw: RawColumn, column: TableColumn) -> str:
    """Return the unit that cells have beside their numbers, "" if they are words."""
    are_words = all(column.code(text, unseen=False) is not None for text in raw.digits)
    return "" if are_words else raw.unit


def _level(column: TableColumn, raw: RawColumn, text: str) -> float | None:
    code = column.code(text, unseen=False)
    digits = raw.digits.get(text)
    if code is None and digits is not None:
        return column.code(digits, unseen=False)
    return code


def _infer_column(raw: RawColumn) -> TableColumn | LeftOut:
    n, name = int(raw.is_present.sum()), raw.name
    if not n:
        return LeftOut(name=name, why="it has no values")
    if raw.is_text.any():
        gaps = tuple(filter(is_missing_number, raw.words))
        cells = raw.as_numbers()
        if not _are_numbers(cells):
            return _of_texts(raw, n)
        found = _of_numbers(cells, int(cells.is_present.sum()))
        why = f"{found.why}; missing in {', '.join(map(show, gaps))}"
        return found.model_copy(update={"why": why if gaps else found.why})
    return _of_numbers(raw, n)


def _are_numbers(raw: RawColumn) -> bool:
    """
    Say whether a column with texts has numbers.

    Raises:
        UnknownCellError: It has, but for some cells.
    """
    numbers = raw.numbers[~np.isnan(raw.numbers)]
    n, values = int(raw.is_present.sum()), np.unique(numbers)
    are_few = len(values) <= MOST_WHOLE_LEVELS and (values == np.floor(values)).all()
    if are_few or 2 * len(numbers) < n:
        return False
    if len(numbers) < n:
        why = (
            f"but {len(numbers)} of its {n} values are numbers: write a number there,"
            f" or nothing, or leave the column out with --drop {shlex.quote(raw.name)}"
        )
        raise UnknownCellError(raw, int(np.argmax(raw.is_text)), why)
    return True


def _of_numbers(raw: RawColumn, n: int) -> TableColumn | LeftOut:
    name, numbers = raw.name, raw.numbers[raw.is_present]
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
    texts = sorted({raw.texts[i] for i in used})
    if len(texts) == 1:
        return LeftOut(name=name, why=f"all its values are {texts[0][:40]!r}")
    if all(map(is_truth, texts)):
        return TableColumn(
            name=name, kind="binary", categories=(False, True), why="truth values"
        )
    is_few = len(texts) <= MOST_WHOLE_LEVELS and len(texts) < n
    if not is_few and all(map(dates.is_date, texts)):
        return LeftOut(
            name=name,
            why="its values are dates or times: write numbers, such as days",
        )
    if len(texts) == 2:
        why = f"two values{_differing(texts)}"
        return TableColumn(name=name, kind="binary", categories=tuple(texts), why=why)
    if len(texts) == n and n >= _LEAST_ROWS:
        return LeftOut(name=name, why=f"its {n} texts are all different")
    if len(texts) > MOST_LEVELS:
        why = f"its texts have {len(texts)} values, more than {MOST_LEVELS}"
        return LeftOut(name=name, why=why)
    why = f"texts with {len(texts)} values{_differing(texts)}"
    return TableColumn(name=name, kind="categorical", categories=tuple(texts), why=why)


def _differing(texts: Sequence[str]) -> str:
    """Return which texts differ in upper and lower case alone, for a sentence."""
    found: dict[str, str] = {}
    for text in texts:
        other = found.setdefault(text.casefold(), text)
        if other != text:
            return f", of which {show(other)} and {show(text)} differ in case alone"
    return ""


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

    What arithmetic leaves behind, as in 0.30000000000000004, is not a decimal, nor
    is a remainder of a billionth of the largest number, in at most one of twenty rows.
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
