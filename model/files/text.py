"""Text in files, plain or gzip, with its encoding found from its first bytes."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from model.files.contents import DataError

UTF_8 = "utf-8-sig"
WINDOWS = "cp1252"
_GZIP_MAGIC = b"\x1f\x8b"
_SAMPLE_BYTES = 1 << 16
_WORKBOOKS = {
    b"PK\x03\x04": "a workbook of Excel or LibreOffice, or another zip archive",
    b"\xd0\xcf\x11\xe0": "a workbook of an old Excel",
}
# The longer mark first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


_LEAST_LINES = 4  # of a sample: a header and some rows
_LONGEST_LINE = 1 << 26  # characters; a file of other contents may have no line ends
_MOST_IN_QUOTES = 16  # times a sample, in case its quotes are no pairs


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[io.TextIOWrapper]:
    """
    Open a text, unzipped if it is gzip; line ends are left as they are.

    Raises:
        DataError: It cannot be read. UnicodeDecodeError is for the caller.
    """
    try:
        with _bytes_of(path) as file:
            yield io.TextIOWrapper(file, encoding=encoding, newline="")
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def encoding_of(path: Path) -> str:
    """
    Return the encoding that the first bytes show; without a mark, UTF-8.

    Text of UTF-16 without a mark is recognized by its zero bytes.

    Raises:
        DataError: The file cannot be read, or is a workbook.
    """
    try:
        with _bytes_of(path) as file:
            start = file.read(_SAMPLE_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    for magic, what in _WORKBOOKS.items():
        if start.startswith(magic):
            raise DataError(f"{path.name} is {what}, no text: save it as .csv there")
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    # Digits and separators have a zero as their high byte.
    if len(start) >= 4 and start[1::2].count(0) > len(start) // 4 and start[0] != 0:
        return "utf-16-le"
    if len(start) >= 4 and start[::2].count(0) > len(start) // 4 and start[1] != 0:
        return "utf-16-be"
    return UTF_8


def sample(path: Path, encoding: str, n_characters: int) -> list[str]:
    """
    Return the first lines of a text, whole ones.

    There are at least `_LEAST_LINES`, however long, and the last one ends no cell in
    quotes before its end, as texts of several lines would have it.

    Raises:
        DataError: As in `open_text`.
    """
    lines: list[str] = []
    n, n_quotes = 0, 0
    with open_text(path, encoding) as file:
        while line := file.readline(_LONGEST_LINE):
            lines.append(line)
            n, n_quotes = n + len(line), n_quotes + line.count('"')
            is_closed = n_quotes % 2 == 0 or n > _MOST_IN_QUOTES * n_characters
            if n >= n_characters and len(lines) >= _LEAST_LINES and is_closed:
                break
    return lines


@contextmanager
def _bytes_of(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        zipped = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        file.seek(0)
        if not zipped:
            yield file
            return
        with gzip.open(file) as content:
            yield cast(BinaryIO, content)
