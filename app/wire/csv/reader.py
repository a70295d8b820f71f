"""
Reads rows from CSV (RFC 4180) by the names of columns in its first line.

A body is read in pieces that end with a line. A piece of plain numbers becomes JSON and
is parsed as such; any other is cut into cells, which mean what they mean in files
(`model.files.numerals`). No row is kept twice, and every error names its line.
"""

from collections.abc import Sequence
from math import nan
from threading import Event
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from app.errors import Fault, UnprocessableError
from app.wire import codes, columns, doubles
from app.wire.body import Body
from app.wire.csv import lines
from app.wire.csv.lines import Lines
from app.wire.layout import Layout, Rows

PIECE_BYTES = 1 << 17
_MOST_LINE_BYTES = 1 << 18
_CELLS_BYTES = 1 << 14  # shorter, because cells take more memory than numbers
_MOST_CELL_BYTES = 256  # on average, in a line that is longer still
_OF_NUMBERS = b"0123456789+-.eE, \r\n"  # Python and files read them alike
_MARK = b"\xef\xbb\xbf"
_NO_LINES = (
    "expected a line of names and one for each row, got one line in all: curl keeps "
    "the ends of lines with --data-binary, not with -d"
)
# A piece that has other structure than rows of cells is read cell by cell.
_COMMA = np.uint8(ord(","))
_NOT_STRUCTURE = bytes(set(range(256)) - set(b',\n"[]{}'))

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
    reading = _Reading(body, layout)
    values = reading.read(stop)
    return columns.rows(values, reading.order, reading.unknown, layout)


@final
class _Reading:
    """
    The state of reading one body.

    Attributes:
        names: The columns as they were sent.
        order: The position among them of each column of the model.
        unknown: The first categories that are unknown.
    """

    def __init__(self, body: Body, layout: Layout) -> None:
        self._body, self._layout = body, layout
        self._parser = doubles.parser()
        self._most_bytes = max(_MOST_LINE_BYTES, _MOST_CELL_BYTES * layout.dim)
        self._position = len(_MARK) if body[: len(_MARK)] == _MARK else 0
        self._line, self._n = 1, 0  # the next line and row
        self.unknown: tuple[Fault, ...] = ()
        self._cells_until = 0  # before this position there are not only numbers
        self.names = self._header()
        self._has_words = codes.has_words(layout.columns, layout.schema)
        if body.find(b"\n") < 0 and len(self.names) > layout.dim + len(layout.left_out):
            lines.refuse_line(1, _NO_LINES)
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
            with columns.faults_at(layout, self._fault_namer(numbers)):
                rows = columns.convert(
                    columns.order_columns(values, self.order),
                    layout,
                    self._n,
                    missing="an empty cell",
                )
            kept[self._n : self._n + len(rows)] = rows
            self._n += len(rows)
        layout.check_n_rows(self._n)
        return kept[: self._n]

    def _header(self) -> list[str]:
        """Read the first line; return its names, without spaces around them."""
        end = lines.end_of_first(self._body, self._position, self._most_bytes)
        text = self._take(end)
        if not text.strip():
            lines.refuse_line(1, "expected the names of the columns, got nothing")
        (cells,) = lines.lines_of(text, 1).cells
        known = frozenset(self._layout.columns)
        names = [cell if cell in known else cell.strip() for cell in cells]
        if "" in names:
            advice = "; write no index (pandas: index=False)" if not names[0] else ""
            lines.refuse_line(
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
        return self._take(end)

    def _take(self, end: int) -> bytes:
        if end < 0:
            what = f"expected a line of at most {self._most_bytes} bytes, got a longer"
            lines.refuse_line(
                self._line, f"{what} one, or a cell without its second quote"
            )
        taken = bytes(self._body[self._position : end])
        self._position = end
        return taken

    def _rows(self) -> tuple[Values, Sequence[int]]:
        """Return the next rows as they were sent, and the line of each."""
        start, first, values = self._position, self._line, None
        if start >= self._cells_until and not self._has_words:
            piece = self._piece(PIECE_BYTES)
            values = self._plain_numbers(lines.without_quotes(piece))
            if values is None:
                self._cells_until, self._position = self._position, start
        if values is None:
            piece = self._piece(_CELLS_BYTES)
            if not self._has_words:
                values = self._decimals(lines.without_quotes(piece))
        self._line += piece.count(b"\n")
        if values is None:
            found = lines.lines_of(piece, first)
            return self._of_cells(found), found.numbers
        numbers = range(first, first + len(values))
        return self._codes_of_numbers(values, numbers), numbers

    def _plain_numbers(self, piece: bytes) -> Values | None:
        """Return the rows of a piece of numbers as JSON has them, None if it is not."""
        if not self._is_regular(piece):
            return None
        cells = piece.removesuffix(b"\n").replace(b"\n", b",")
        try:
            array: Any = self._parser.parse(b"".join((b"[", cells, b"]")))
            values = np.frombuffer(array.as_buffer(of_type="d"), np.float64)
        except doubles.REFUSALS:
            self._parser = doubles.parser()
            return None
        # An empty cell of a table with one column leaves an empty array.
        n_cells = 1 + int(np.count_nonzero(np.frombuffer(cells, np.uint8) == _COMMA))
        return values.reshape(-1, len(self.names)) if values.size == n_cells else None

    def _codes_of_numbers(self, values: Values, numbers: Sequence[int]) -> Values:
        """Return the codes of numbers, if the columns have codes."""
        layout = self._layout
        if layout.schema is None:
            return values
        with columns.faults_at(layout, self._fault_namer(numbers)):
            coded = codes.of_numbers(values, self.names, layout, layout.schema, self._n)
        return self._note_unknown(coded, numbers)

    def _note_unknown(self, coded: codes.Coded, numbers: Sequence[int]) -> Values:
        """Return codes, and keep where the first categories are that are unknown."""
        self.unknown = columns.first_faults(
            self.unknown, coded.unknown, self._layout, self._fault_namer(numbers)
        )
        return coded.values

    def _decimals(self, piece: bytes) -> Values | None:
        """Return the rows of a piece of numbers and empty cells, None if it is not."""
        if piece.translate(None, _OF_NUMBERS) or not self._is_regular(piece):
            return None
        text = piece.decode("ascii").replace("\r\n", "\n").removesuffix("\n")
        try:
            numbers = [
                float(c) if c else nan for c in text.replace("\n", ",").split(",")
            ]
        except ValueError:
            return None
        values = np.array(numbers).reshape(-1, len(self.names))
        return None if np.isinf(values).any() else values

    def _is_regular(self, piece: bytes) -> bool:
        """Return whether a piece has rows of as many cells as names, none quoted."""
        n_cells = len(self.names)
        row = b"," * (n_cells - 1) + b"\n"
        ended = piece if piece.endswith(b"\n") else piece + b"\n"
        structure = ended.translate(None, _NOT_STRUCTURE)
        n_rows, rest = divmod(len(structure), n_cells)
        is_regular = not rest and structure == row * n_rows
        if not is_regular or b"\r" not in ended:
            return is_regular
        return ended.count(b"\r") == ended.count(b"\r\n")

    def _of_cells(self, found: Lines) -> Values:
        """Return the numbers in cells, NaN for empty ones."""
        n_cells = len(self.names)
        for number, cells in zip(*found, strict=True):
            if len(cells) != n_cells:
                got = len(cells)
                what = f"expected {n_cells} cells, one for each name in line 1"
                lines.refuse_line(number, f"{what}, got {got}")
        layout = self._layout
        if layout.schema is not None:
            with columns.faults_at(layout, self._fault_namer(found.numbers)):
                coded = codes.of_rows(
                    found.cells, self.names, layout, layout.schema, self._n
                )
            return self._note_unknown(coded, found.numbers)
        rows = [list(map(columns.number_in, cells)) for cells in found.cells]
        for i, row in enumerate(rows):
            if None in row:
                d = self.order.index(row.index(None))
                what = "expected a finite number, got text"
                name_fault = self._fault_namer(found.numbers)
                raise UnprocessableError(name_fault(self._n + i, d, what))
        return np.array(rows, np.float64)

    def _fault_namer(self, numbers: Sequence[int]) -> columns.FaultNamer:
        """Return a function that names the line and the column of a fault."""
        pointer_to = columns.pointers(self._layout)

        def name_fault(row: int, d: int, detail: str) -> Fault:
            where = f"line {numbers[row - self._n]}, {self._layout.columns[d]}"
            return Fault(pointer_to(row, d), f"{where}: {detail}")

        return name_fault
