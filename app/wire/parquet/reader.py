"""
Reads rows from Parquet by the names of its columns.

A file's pages may unpack to much more than they are. So the footer and the head of
every page are read here first (`footer`, `pages`), within limits, and nothing is
unpacked that is too long. Only then pyarrow decodes the pages of the model's columns,
from memory, by a footer written here (`plain_footer`).
"""

from collections.abc import Iterator, Sequence
from threading import Event
from types import ModuleType
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from app.errors import ContentTooLargeError, Fault, UnprocessableError
from app.wire import codes, columns
from app.wire.body import Body
from app.wire.layout import Layout, Rows
from app.wire.parquet import footer, plain_footer
from app.wire.parquet.arrow import import_arrow
from app.wire.parquet.layout import FIXED, FLOAT, Column, RowGroup, damaged_file
from app.wire.parquet.pages import PageWalk, too_long
from model.files import arrow_cells

# Of a batch; the rows of one column at a time are objects.
_BATCH_VALUES, _BATCH_ROWS = 1 << 18, 1 << 14
# A word is in its page, in dictionaries of pyarrow that grow, and in Python.
_COPIES_OF_TEXT = 6
_WORDS_AT_ONCE = 1 << 10
_CELLS = frozenset({"text", "number", "truth", "decimal"})
_SHORT = (FLOAT, FIXED)  # have fewer digits than float64
_INDEX = "__index_level_"  # of pandas, without a name

Values = NDArray[np.float64]


@final
class ParquetFile(NamedTuple):
    """
    A body that was measured and not yet unpacked.

    Attributes:
        columns: Those of the model that it has.
        n_bytes: What its pages, words and cells take in memory, unpacked; a cell
            counts as a byte, the least that it has in other formats.
    """

    body: Body
    columns: tuple[Column, ...]
    groups: tuple[RowGroup, ...]
    n_rows: int
    n_bytes: int

    def read(self, layout: Layout, stop: Event) -> Rows:
        """
        Return the rows.

        Args:
            layout: As in `measure`, but for what its values may be.
            stop: Ends the reading when it is set.

        Raises:
            UnprocessableError: They do not match the layout.
        """
        reading = _ParquetReading(self, layout)
        kept: NDArray[Any] = np.empty((self.n_rows, layout.dim), layout.dtype)
        n = 0
        for values in reading.batches(stop):
            with columns.faults_at(layout, reading.fault):
                rows = columns.convert(values, layout, n, missing="null")
            kept[n : n + len(rows)] = rows
            n += len(rows)
        if n != self.n_rows and not stop.is_set():
            raise damaged_file()
        return columns.rows(kept, reading.order, reading.unknown, layout)


@final
class UnpackedLimits(NamedTuple):
    """
    How many bytes a body may take.

    Attributes:
        unpacked: As pages and cells.
        in_memory: With all copies of its words.
    """

    unpacked: int
    in_memory: int


def measure(
    body: Body, layout: Layout, limits: UnpackedLimits, stop: Event
) -> ParquetFile:
    """
    Check a body without unpacking it, and return what it will take.

    Args:
        stop: Ends the work when it is set.

    Raises:
        UnprocessableError: It is not Parquet, is damaged, or has other columns.
        ContentTooLargeError: It has too many rows, or unpacks to too many bytes.
    """
    found = footer.read(body)
    layout.check_n_rows(found.n_rows)
    sent = [column for column in found.columns if not column.name.startswith(_INDEX)]
    order = columns.positions([c.name for c in sent], layout, layout.pointer())
    wanted = tuple(sent[i] for i in order if i != columns.ABSENT)
    for column in wanted:
        if column.what not in _CELLS:
            what = "expected numbers, texts or truth values"
            detail = f"{column.name}: {what}, got {column.what}"
            raise UnprocessableError(Fault(layout.pointer(), detail))
    n_cells = found.n_rows * layout.dim
    if n_cells > limits.unpacked:
        raise too_long(limits.unpacked)
    walk = PageWalk(body, limits.unpacked - n_cells, stop)
    groups = walk.measure(found.groups_of(wanted))
    n_bytes = n_cells + walk.n_bytes + (_COPIES_OF_TEXT - 1) * walk.n_text
    if n_bytes > limits.in_memory:
        most = limits.in_memory // _COPIES_OF_TEXT
        raise ContentTooLargeError(
            f"expected texts of at most {most} bytes unpacked, got more"
        )
    return ParquetFile(body, wanted, groups, found.n_rows, n_bytes)


@final
class _ParquetReading:
    """
    The state of reading one file.

    Attributes:
        order: The position in the file of each column of the model.
        unknown: The first categories that are unknown.
    """

    def __init__(self, file: ParquetFile, layout: Layout) -> None:
        self._file, self._layout = file, layout
        names = [column.name for column in file.columns]
        self.order: Sequence[int] = columns.positions(names, layout, layout.pointer())
        self.unknown: tuple[Fault, ...] = ()
        self._places = [layout.columns.index(name) for name in names]

    def fault(self, row: int, d: int, detail: str) -> Fault:
        """Return a fault with the row and the column it is in."""
        pointer_to = columns.pointers(self._layout)
        where = f"row {row}, {self._layout.columns[d]}"
        return Fault(pointer_to(row, d), f"{where}: {detail}")

    def batches(self, stop: Event) -> Iterator[Values]:
        """Yield rows of numbers or codes, NaN where a cell is missing."""
        file, dim = self._file, self._layout.dim
        if not file.columns:
            yield np.full((file.n_rows, dim), np.nan)
            return
        arrow, found = _open(file)
        n_rows = min(max(1, _BATCH_VALUES // len(file.columns)), _BATCH_ROWS)
        batches = found.iter_batches(n_rows, use_threads=False)
        first = 0
        while not stop.is_set():
            batch = _next(batches, arrow)
            if batch is None:
                return
            values = np.full((batch.num_rows, dim), np.nan)
            for i, (column, d) in enumerate(
                zip(file.columns, self._places, strict=True)
            ):
                values[:, d] = self._values(column, batch.column(i), arrow, first)
            yield values
            first += batch.num_rows

    def _values(
        self, column: Column, found: Any, arrow: ModuleType, first: int
    ) -> Values:
        """Return the numbers or the codes of a part of a column."""
        layout, schema = self._layout, self._layout.schema
        has_levels = schema is not None and schema.column(column.name).has_levels
        is_short = schema is not None and column.physical in _SHORT
        if column.what == "number" and not has_levels and not is_short:
            numbers: Values = found.to_numpy(zero_copy_only=False).astype(np.float64)
            return numbers
        try:
            cells = _cells(found, arrow)
        except UnicodeDecodeError:
            what = f"{column.name}: expected texts in UTF-8, got other bytes"
            raise UnprocessableError(Fault(layout.pointer(), what)) from None
        with columns.faults_at(layout, self.fault):
            if schema is None:
                return self._numbers(column, cells, first)
            coded = codes.of_column(column.name, cells, layout, schema, first)
        self.unknown = columns.first_faults(
            self.unknown, coded.unknown, layout, self.fault
        )
        return coded.values

    def _numbers(self, column: Column, cells: Sequence[Any], first: int) -> Values:
        """Return the numbers that cells are, of data without categories."""
        numbers = [
            columns.number_in(cell)
            if isinstance(cell, str)
            else np.nan
            if cell is None
            else float(cell)
            for cell in cells
        ]
        if None in numbers:
            d = self._layout.columns.index(column.name)
            pointer = self._layout.pointer(first + numbers.index(None), d)
            what = "expected a finite number, got text"
            raise UnprocessableError(Fault(pointer, what))
        return np.array(numbers, np.float64)


def _open(file: ParquetFile) -> tuple[ModuleType, Any]:
    """Return pyarrow, and its reader of a file."""
    arrow, parquet = import_arrow()
    alone = plain_footer.file_of(file.columns, file.groups)
    words = [
        plain_footer.name_of(i)
        for i, column in enumerate(file.columns)
        if column.what == "text"
    ]
    found = parquet.ParquetFile(
        arrow.BufferReader(file.body),
        metadata=parquet.read_metadata(arrow.BufferReader(alone)),
        read_dictionary=words,
        pre_buffer=False,
    )
    return arrow, found


def _next(batches: Iterator[Any], arrow: ModuleType) -> Any:
    """Return the next batch of pyarrow, None after the last."""
    try:
        return next(batches, None)
    except (OSError, arrow.ArrowException):
        raise damaged_file() from None


def _cells(found: Any, arrow: ModuleType) -> list[Any]:
    """Return the cells of a part of a column; a word occurs in it once."""
    if arrow.types.is_decimal(found.type):
        return [None if cell is None else float(cell) for cell in found.to_pylist()]
    if not arrow.types.is_dictionary(found.type):
        return arrow_cells.cells(found, arrow)
    known = found.is_valid().to_numpy(zero_copy_only=False)
    indices = found.indices.to_numpy(zero_copy_only=False)[known].astype(np.int64)
    used, places = np.unique(indices, return_inverse=True)
    if used.size and not 0 <= used[0] <= used[-1] < len(found.dictionary):
        raise damaged_file()  # pyarrow does not check it
    words = np.empty(len(used), object)
    for start in range(0, len(used), _WORDS_AT_ONCE):
        some = slice(start, start + _WORDS_AT_ONCE)
        words[some] = found.dictionary.take(arrow.array(used[some])).to_pylist()
    cells = np.full(len(found), None, object)
    cells[known] = words[places]
    return cells.tolist()
