"""
Reads long JSON bodies with rows by name, in a thread, a few rows at a time.

The parser of Python holds the interpreter lock until a whole text is parsed, so a long
body is cut into short pieces, between two rows. A pattern that knows strings finds the
ends of rows, whatever words are in them: a row has no arrays or objects. Pieces are
read by the strict reader, which has words for every fault.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event
from typing import Any, NamedTuple, Never, final

import numpy as np

from app.errors import MAX_FAULTS, Fault, UnprocessableError
from app.wire.body import Body
from app.wire.json import mistakes, split, strict
from app.wire.json.skeleton import Cut
from app.wire.layout import Layout, Rows
from app.wire.nesting import TOO_DEEP, is_too_deep

_PIECE_BYTES = 1 << 14
_MOST_ROW_BYTES = strict.MAX_EXPLAINED_BYTES - 2  # with the brackets of a piece
_MOST_OTHER_BYTES = 1 << 12  # after the rows
_SPACE = rb"[ \t\r\n]*+"
_INSIDE = rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+'

_ReadPiece = Callable[[bytes, int], Rows]


@final
class _RowEnds(NamedTuple):
    """What finds a row, rows with a comma after each, and the last row."""

    row: re.Pattern[bytes]
    before: re.Pattern[bytes]
    last: re.Pattern[bytes]


def _ends(opening: bytes, closing: bytes) -> _RowEnds:
    row = opening + _INSIDE + closing
    spaced = _SPACE + row + _SPACE
    many, last = b"(?:" + spaced + b",)++", spaced + rb"\]"
    return _RowEnds(re.compile(row), re.compile(many), re.compile(last))


_OBJECTS, _ARRAYS = _ends(rb"\{", rb"\}"), _ends(rb"\[", rb"\]")


def read_records(
    body: Body, start: int, layout: Layout, stop: Event
) -> tuple[Rows, dict[str, Any]]:
    """
    Return the rows and the other members of a body whose rows are objects.

    Args:
        start: The position of the array's bracket.
        stop: Ends the reading when it is set.

    Raises:
        UnprocessableError: It does not match the layout.
        ContentTooLargeError: It has too many rows.
    """
    reading = _NamedRows(body, start, layout, _OBJECTS)

    def read(piece: bytes, first_row: int) -> Rows:
        return strict.read_rows(piece, layout, first_row=first_row)

    rows = reading.rows(read, stop)
    members = reading.others()
    if members.pop(layout.name, None) != []:
        what = "expected the rows in x, and no other array of objects before them"
        raise UnprocessableError(Fault(layout.pointer(), what))
    return rows, members


def read_split(
    body: Body, cut: Cut, names: list[str], layout: Layout, stop: Event
) -> Rows:
    """
    Return the rows of a body whose rows are arrays of cells under their names.

    Args:
        names: The columns, as they were sent.
        stop: Ends the reading when it is set.

    Raises:
        UnprocessableError: It does not match the layout.
        ContentTooLargeError: It has too many rows.
    """
    order = split.order_of(names, layout)

    def read(piece: bytes, first_row: int) -> Rows:
        return strict.read_split_rows(piece, names, order, layout, first_row=first_row)

    data = replace(layout, name=f"{layout.name}/data")
    reading = _NamedRows(body, cut.start, data, _ARRAYS)
    rows = reading.rows(read, stop)
    if reading.position != cut.stop:
        raise split.too_long(layout, strict.MAX_EXPLAINED_BYTES)
    return rows


@final
class _NamedRows:
    """
    The state of reading the rows of one body.

    Attributes:
        position: In the body, after the rows that are read.
    """

    def __init__(self, body: Body, start: int, layout: Layout, ends: _RowEnds) -> None:
        self._body, self._layout, self._ends = body, layout, ends
        self._start, self.position = start, start + 1
        self._n = 0  # rows before the position

    def rows(self, read: _ReadPiece, stop: Event) -> Rows:
        """Return all rows; `read` returns those of a piece."""
        parts: list[Rows] = []
        for piece in self._pieces(read, stop):
            try:
                part = read(piece, self._n)
            except UnprocessableError as error:
                raise self._error_at_row(error, piece, read) from None
            self._n += len(part.values)
            self._layout.check_n_rows(self._n)
            parts.append(part)
        self._layout.check_n_rows(self._n)
        absent = dict.fromkeys(name for part in parts for name in part.absent)
        unknown = [fault for part in parts for fault in part.unknown]
        return parts[0]._replace(
            values=np.concatenate([part.values for part in parts]),
            absent=tuple(absent),
            unknown=tuple(unknown[:MAX_FAULTS]),
        )

    def others(self) -> dict[str, Any]:
        """Return the members of the body, with an empty array in place of the rows."""
        after = bytes(self._body[self.position :])
        if len(after) > _MOST_OTHER_BYTES:
            what = f"expected at most {_MOST_OTHER_BYTES} bytes after the rows"
            raise UnprocessableError(Fault("", what))
        return strict.parse_members(bytes(self._body[: self._start + 1]) + b"]" + after)

    def _pieces(self, read: _ReadPiece, stop: Event) -> Iterator[bytes]:
        """Yield arrays of rows; the position is then after the last bracket."""
        body, n_bytes = self._body, _PIECE_BYTES
        while not stop.is_set():
            end = self.position + n_bytes
            found = self._ends.before.match(body, self.position, end)
            last = None
            if found is None:
                last = self._ends.last.match(body, self.position, end)
            if last is not None:
                yield b"[" + last[0]
                self.position = last.end()
                return
            if found is not None:
                yield b"[" + found[0][:-1] + b"]"
                self.position, n_bytes = found.end(), _PIECE_BYTES
            elif n_bytes >= _MOST_ROW_BYTES or end >= len(body):
                self._explain(read)
            else:
                n_bytes = min(2 * n_bytes, _MOST_ROW_BYTES)

    def _error_at_row(
        self, error: UnprocessableError, piece: bytes, read: _ReadPiece
    ) -> UnprocessableError:
        """Return the error of a piece at its row, if it has another place."""
        if all(one.pointer.startswith(self._layout.pointer()) for one in error.faults):
            return error
        for i, row in enumerate(self._ends.row.finditer(piece, 1)):
            pointer = self._layout.pointer(self._n + i)
            try:
                text = row[0].decode()
                json.loads(text, parse_int=float)
                read(b"[" + row[0] + b"]", self._n + i)
            except json.JSONDecodeError as fault:
                before = len(text[: fault.pos].encode())
                at = self.position + row.start() - 1 + before
                what = mistakes.syntax(text, fault, at)
                return UnprocessableError(Fault(pointer, what))
            except UnicodeDecodeError:
                return UnprocessableError(Fault(pointer, "expected UTF-8"))
            except UnprocessableError as fault:
                return UnprocessableError(Fault(pointer, fault.faults[0].detail))
        return error

    def _explain(self, read: _ReadPiece) -> Never:
        """Raise the fault of the row at the position."""
        pointer = self._layout.pointer(self._n)
        part = bytes(self._body[self.position : self.position + _MOST_ROW_BYTES])
        if is_too_deep(part):
            raise UnprocessableError(Fault(pointer, TOO_DEEP))
        text = part.decode("utf-8", "replace")
        begin = len(text) - len(text.lstrip(" \t\r\n"))
        try:
            _, end = json.JSONDecoder(parse_int=float).raw_decode(text, begin)
        except json.JSONDecodeError as error:
            if self.position + len(part) < len(self._body):
                what = f"expected a row of at most {_MOST_ROW_BYTES} bytes"
            else:
                at = self.position + len(text[: error.pos].encode())
                what = mistakes.syntax(text, error, at)
            raise UnprocessableError(Fault(pointer, what)) from None
        if end - begin <= strict.MAX_EXPLAINED_BYTES:
            read(b"[" + text[begin:end].encode() + b"]", self._n)
        what = "expected a row as those before, then a comma or the end of the array"
        raise UnprocessableError(Fault(pointer, what))
