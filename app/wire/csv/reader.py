"""
Reads rows from CSV (RFC 4180) by the names of columns in its first line.

A body is read in pieces that end with a line. A piece of plain numbers becomes JSON and
is parsed by simdjson; any other is cut into cells, which mean what they mean in files
(`model.files.numerals`). No row is kept twice, and every error names its line.
"""

from collections.abc import Sequence
from threading import Event
from typing import Any, final

import numpy as np
import simdjson
from numpy.typing import NDArray

from app.errors import Fault, UnprocessableError
from app.wire import columns
from app.wire.body import Body
from app.wire.csv import lines
from app.wire.csv.lines import TableLine
from app.wire.layout import Layout, Rows
from model.files import numerals

PIECE_BYTES = 1 << 18
_CELLS_BYTES = 1 << 14  # shorter, because cells take more memory than numbers
_MOST_CELL_BYTES = 256  # on average, in a line that is longer than a piece
_MARK = b"\xef\xbb\xbf"
# A piece that has other structure than rows of cells is read cell by cell.
_NOT_STRUCTURE = bytes(set(range(256)) - set(b',\n"[]{}'))
_REFUSALS = (ValueError, TypeError, RuntimeError)  # all that simdjson raises

Values = NDArray[np.float64]


def read(body: Body, layout: Layout, stop: Event) -> Rows:
    """
    Return the rows of a body.

    Args:
        stop: Ends the reading when it is set.

    Raises:
        UnprocessableError: It does not match the layout.
        ContentTooLargeError: It has too many rows.
    """
    values = _Reading(body, layout).read(stop)
    return Rows(values, shaped=False, pointer_to=columns.pointers(layout))


@final
class _Reading:
    """
    The state of reading one body.

    Attributes:
        names: The columns as they were sent.
        order: The position among them of each column of the model.
    """

    def __init__(self, body: Body, layout: Layout) -> None:
        self._body, self._layout = body, layout
        self._parser = simdjson.Parser()
        self._most_bytes = max(PIECE_BYTES, _MOST_CELL_BYTES * layout.dim)
        self._position = len(_MARK) if body[: len(_MARK)] == _MARK else 0
        self._line, self._n = 1, 0  # the next line and row
        self._cells_until = 0  # before this position there are not only numbers
        self.names = self._header()
        self.order = columns.positions(self.names, layout, layout.pointer())

    def read(self, stop: Event) -> NDArray[Any]:
        layout = self._layout
        # A row has a comma or a line end for every cell, but the last may have none.
        n_cells = len(self._body) - self._position + 1
        most = min(n_cells // len(self.names), layout.max_rows)
        kept = np.empty((most, layout.dim), layout.dtype)
        while self._position < len(self._body) and not stop.is_set():
            values, numbers = self._rows()
            layout.check_n_rows(self._n + len(values))
            with columns.faults_at(layout, self._named(numbers)):
                rows = self._converted(np.take(values, self.order, axis=1))
            kept[self._n : self._n + len(rows)] = rows
            self._n += len(rows)
        layout.check_n_rows(self._n)
        return kept[: self._n]

    def _converted(self, values: Values) -> NDArray[np.floating]:
        """Return rows of data units, NaN for empty cells, in the model's units."""
        layout = self._layout
        empty = np.isnan(values)
        if empty.any() and not layout.may_be_missing:
            row, d = divmod(int(np.argmax(empty)), layout.dim)
            what = "expected a number, got an empty cell"
            raise UnprocessableError(Fault(layout.pointer(self._n + row, d), what))
        return layout.to_rows(values, shaped=False, first_row=self._n).values

    def _header(self) -> list[str]:
        """Read the first line; return its names, without spaces around them."""
        end = lines.end_of_first(self._body, self._position, self._most_bytes)
        text = self._taken(end)
        if not text.strip():
            lines.refuse(1, "expected the names of the columns, got nothing")
        ((_, cells),) = lines.lines_of(text, 1)
        known = frozenset(self._layout.columns)
        names = [cell if cell in known else cell.strip() for cell in cells]
        if "" in names:
            advice = "; write no index (pandas: index=False)" if not names[0] else ""
            lines.refuse(
                1, f"expected a name for each column, got an empty one{advice}"
            )
        self._line += text.count(b"\n")
        return names

    def _piece(self, n_bytes: int) -> bytes:
        """Take whole lines, of n bytes or at least one."""
        end = lines.end_of_lines(self._body, self._position, n_bytes)
        while end < 0 and n_bytes < self._most_bytes:
            n_bytes = min(2 * n_bytes, self._most_bytes)
            end = lines.end_of_lines(self._body, self._position, n_bytes)
        return self._taken(end)

    def _taken(self, end: int) -> bytes:
        if end < 0:
            what = f"expected a line of at most {self._most_bytes} bytes, got a longer"
            lines.refuse(self._line, f"{what} one, or a cell without its second quote")
        taken = bytes(self._body[self._position : end])
        self._position = end
        return taken

    def _rows(self) -> tuple[Values, Sequence[int]]:
        """Return the next rows as they were sent, and the line of each."""
        start, first = self._position, self._line
        if start >= self._cells_until:
            piece = self._piece(PIECE_BYTES)
            values = self._plain_numbers(piece)
            if values is not None:
                self._line += len(values)
                return values, range(first, self._line)
            self._cells_until, self._position = self._position, start
        piece = self._piece(_CELLS_BYTES)
        found = lines.lines_of(piece, first)
        self._line += piece.count(b"\n")
        return self._of_cells(found), [line.number for line in found]

    def _plain_numbers(self, piece: bytes) -> Values | None:
        """Return the rows of a piece of numbers as JSON has them, None if it is not."""
        n_cells = len(self.names)
        row = b"," * (n_cells - 1) + b"\n"
        ended = piece if piece.endswith(b"\n") else piece + b"\n"
        structure = ended.translate(None, _NOT_STRUCTURE)
        n_rows, rest = divmod(len(structure), n_cells)
        if rest or structure != row * n_rows:
            return None
        if ended.count(b"\r") != ended.count(b"\r\n"):
            return None
        text = b"".join((b"[", ended[:-1].replace(b"\n", b","), b"]"))
        try:
            array: Any = self._parser.parse(text)
            values = np.frombuffer(array.as_buffer(of_type="d"), np.float64)
        except _REFUSALS:
            self._parser = simdjson.Parser()
            return None
        # An empty cell of a table with one column leaves an empty array.
        return values.reshape(-1, n_cells) if values.size == n_rows * n_cells else None

    def _of_cells(self, found: Sequence[TableLine]) -> Values:
        """Return the numbers in cells, NaN for empty ones."""
        for line in found:
            if len(line.cells) != len(self.names):
                n, got = len(self.names), len(line.cells)
                what = f"expected {n} cells, one for each name in line 1, got {got}"
                lines.refuse(line.number, what)
        rows = [list(map(_number, line.cells)) for line in found]
        for i, row in enumerate(rows):
            if None in row:
                d = self.order.index(row.index(None))
                what = "expected a finite number, got text"
                named = self._named([line.number for line in found])
                raise UnprocessableError(named(self._n + i, d, what))
        return np.array(rows, np.float64)

    def _named(self, numbers: Sequence[int]) -> columns.Renamed:
        """Return a function that names the line and the column of a fault."""
        pointer_to = columns.pointers(self._layout)

        def renamed(row: int, d: int, detail: str) -> Fault:
            where = f"line {numbers[row - self._n]}, {self._layout.columns[d]}"
            return Fault(pointer_to(row, d), f"{where}: {detail}")

        return renamed


def _number(cell: str) -> float | None:
    """Return the number in a cell, NaN if it is empty, None if it has another text."""
    reading = numerals.read(cell, ".")
    if reading is not None:
        return reading.value
    return float("nan") if numerals.is_missing(cell) else None
