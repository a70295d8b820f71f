"""
Cuts CSV into pieces, lines and cells (RFC 4180).

A line may contain line ends within quotes. Quotes are in pairs, also `""` within them,
so a line end is one of a line exactly if the quotes before it are even in number.
"""

import re
from typing import NamedTuple, Never, final

from app.errors import Fault, UnprocessableError
from app.wire.body import Body

_LINE = re.compile(r'(?:[^"\n]++|"[^"]*+")*+(?:\n|\Z)')
_FIRST = re.compile(rb'(?:[^"\n]++|"[^"]*+")*+(?:\n|\Z)')
_CELL = r'(?:"(?:[^"]++|"")*+"|[^",\r\n]*+)'
_CELLS = re.compile(rf"{_CELL}(?:,{_CELL})*+")
_EACH = re.compile(r'(?:\A|,)(?:"((?:[^"]++|"")*+)"|([^",]*+))')


@final
class TableLine(NamedTuple):
    """
    The cells of one line.

    Attributes:
        number: Its place in the body, counted from 1.
    """

    number: int
    cells: list[str]


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
    n_quotes = body.count(b'"', start, end)
    while True:
        line_end = body.rfind(b"\n", start, end)
        if line_end < 0:
            return -1
        n_quotes -= body.count(b'"', line_end, end)
        if n_quotes % 2 == 0:
            return line_end + 1
        end = body.rfind(b'"', start, line_end)
        n_quotes -= 1


def lines_of(text: bytes, first_number: int) -> list[TableLine]:
    """
    Return the lines of a text.

    Raises:
        UnprocessableError: It is not UTF-8, or a cell is not written as it should be.
    """
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        number = first_number + text.count(b"\n", 0, error.start)
        refuse(number, "expected UTF-8, got another byte")
    if '"' not in decoded and "\r" not in decoded:
        plain = decoded.removesuffix("\n").split("\n")
        return [
            TableLine(i, line.split(",")) for i, line in enumerate(plain, first_number)
        ]
    found: list[TableLine] = []
    number, position = first_number, 0
    while position < len(decoded):
        line = _LINE.match(decoded, position)
        if line is None:
            refuse(number, "expected a quote at the end of the cell, got none")
        content = line[0].removesuffix("\n").removesuffix("\r")
        found.append(TableLine(number, _cells(content, number)))
        number += line[0].count("\n")
        position = line.end()
    return found


def refuse(number: int, what: str) -> Never:
    """Refuse a body because of one of its lines."""
    raise UnprocessableError(Fault("", f"line {number}: {what}"))


def _cells(line: str, number: int) -> list[str]:
    """Return the cells of a line, without its line end."""
    if '"' not in line:
        if "\r" in line:
            refuse(number, "expected CRLF or LF at the end of a line, got CR")
        return line.split(",")
    if not _CELLS.fullmatch(line):
        refuse(
            number,
            "expected quotes around a whole cell, and two for each quote in it",
        )
    return [quoted.replace('""', '"') or plain for quoted, plain in _EACH.findall(line)]
