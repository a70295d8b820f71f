"""
Cuts CSV into pieces, lines and cells (RFC 4180).

A line may contain line ends within quotes. Quotes are in pairs, also `""` within them,
so a line end is one of a line exactly if the quotes before it are even in number.
"""

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from io import StringIO
from typing import NamedTuple, Never, final

from app.errors import Fault, UnprocessableError
from app.wire.body import Body

_LINE = re.compile(r'(?:[^"\n]++|"[^"]*+")*+(?:\n|\Z)')
_FIRST = re.compile(rb'(?:[^"\n]++|"[^"]*+")*+(?:\n|\Z)')
_CELL = r'(?:"(?:[^"]++|"")*+"|[^",\r\n]*+)'
_CELLS = re.compile(rf"{_CELL}(?:,{_CELL})*+")
_TEXT = re.compile(rf"{_CELL}(?:(?:,|\r?\n){_CELL})*+")
_EACH = re.compile(r'(?:\A|,)(?:"((?:[^"]++|"")*+)"|([^",]*+))')
_QUOTED = re.compile(rb'(?:(?:"[0-9.eE+-]*+"|[^",\n]*+)(?:[,\n]|\r\n|\Z))*+')


@final
class Lines(NamedTuple):
    """
    The cells of lines.

    Attributes:
        numbers: The place of each in the body, counted from 1.
    """

    numbers: Sequence[int]
    cells: list[list[str]]


def end_of_first(body: Body, start: int, n_bytes: int) -> int:
    """Return where the first line ends, -1 if it has more than n bytes."""
    end = min(start + n_bytes, len(body))
    line = _FIRST.match(body, start, end)
    if line is None or (line.end() == end < len(body) and body[end - 1] != 0x0A):
        return -1
    return line.end()


def end_of_lines(body: Body, start: int, n_bytes: int) -> int:
    """Return where the last line within n bytes ends, -1 if none does."""
    end = start + n_bytes
    if end >= len(body):
        return len(body)
    # `find` compares many bytes at a time, `count` one.
    first = body.find(b'"', start, end)
    n_quotes = body.count(b'"', first, end) if first >= 0 else 0
    while True:
        line_end = body.rfind(b"\n", start, end)
        if line_end < 0:
            return -1
        n_quotes -= body.count(b'"', line_end, end) if n_quotes else 0
        if n_quotes % 2 == 0:
            return line_end + 1
        end = body.rfind(b'"', start, line_end)
        n_quotes -= 1


def without_quotes(piece: bytes) -> bytes:
    """Return a piece without quotes, if all are around numbers or nothing."""
    if b'"' in piece and _QUOTED.fullmatch(piece):
        return piece.translate(None, b'"')
    return piece


def lines_of(text: bytes, first_number: int) -> Lines:
    """
    Return the lines of a text.

    Raises:
        UnprocessableError: It is not UTF-8, or a cell is not written as it should be.
    """
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        number = first_number + text.count(b"\n", 0, error.start)
        refuse_line(number, "expected UTF-8, got another byte")
    if '"' not in decoded:
        plain = decoded.replace("\r\n", "\n").removesuffix("\n")
        if "\r" not in plain:
            cells = [line.split(",") for line in plain.split("\n")]
            return Lines(range(first_number, first_number + len(cells)), cells)
    with suppress(csv.Error):  # a cell is longer than that module allows
        if _TEXT.fullmatch(decoded):
            return _read(decoded, first_number)
    return _explain(decoded, first_number)


def _read(text: str, first_number: int) -> Lines:
    """Return the lines of a text that is written as it should be."""
    reader = csv.reader(StringIO(text, newline=""))
    numbers, cells = [first_number], []
    for found in reader:
        cells.append(found or [""])
        numbers.append(first_number + reader.line_num)
    return Lines(numbers[:-1], cells)


def _explain(text: str, first_number: int) -> Lines:
    """Return the lines of a text, or refuse the first that is not as it should be."""
    numbers: list[int] = []
    cells: list[list[str]] = []
    number, position = first_number, 0
    while position < len(text):
        line = _LINE.match(text, position)
        if line is None:
            refuse_line(number, "expected a quote at the end of the cell, got none")
        content = line[0].removesuffix("\n").removesuffix("\r")
        numbers.append(number)
        cells.append(_cells(content, number))
        number += line[0].count("\n")
        position = line.end()
    return Lines(numbers, cells)


def refuse_line(number: int, what: str) -> Never:
    """Refuse a body because of one of its lines."""
    raise UnprocessableError(Fault("", f"line {number}: {what}"))


def _cells(line: str, number: int) -> list[str]:
    """Return the cells of a line, without its line end."""
    if '"' not in line:
        if "\r" in line:
            refuse_line(number, "expected CRLF or LF at the end of a line, got CR")
        return line.split(",")
    if not _CELLS.fullmatch(line):
        refuse_line(
            number,
            "expected quotes around a whole cell, and two for each quote in it",
        )
    return [quoted.replace('""', '"') or plain for quoted, plain in _EACH.findall(line)]
