"""
Walks over the pages of a Parquet file before they are unpacked, and measures them.

A page says how long it is unpacked, and no reader makes it longer. So the memory that
a file takes is known when the head of each page has been read.
"""

from collections.abc import Iterable
from threading import Event
from typing import final

from app.errors import ContentTooLargeError
from app.wire.body import Body
from app.wire.parquet import layout
from app.wire.parquet.layout import ColumnChunk, RowGroup, damaged_file, refusal
from app.wire.parquet.thrift import Struct, ThriftError, ThriftReader

MAX_PAGES = 1 << 15
_MAX_HEAD_VALUES = 64
_OF_OTHERS = (layout.PLAIN, *layout.BY_DICTIONARY, layout.BYTE_STREAM_SPLIT)
_OF_INTEGERS = (*_OF_OTHERS, layout.DELTA_BINARY_PACKED)
_ENCODINGS = {
    layout.BOOLEAN: (layout.PLAIN, layout.RLE),
    layout.BYTE_ARRAY: (layout.PLAIN, *layout.BY_DICTIONARY),
    layout.INT32: _OF_INTEGERS,
    layout.INT64: _OF_INTEGERS,
}


@final
class PageWalk:
    """
    Measures the pages of chunks, one after the other.

    Attributes:
        n_bytes: What the pages until here unpack to, and `n_text` those of texts.
    """

    def __init__(self, body: Body, most_bytes: int, stop: Event) -> None:
        self._body, self._most, self._stop = body, most_bytes, stop
        self._n_pages = 0
        self.n_bytes = self.n_text = 0

    def measure(self, groups: Iterable[RowGroup]) -> tuple[RowGroup, ...]:
        """
        Return row groups whose chunks end where their values do.

        Raises:
            UnprocessableError: Pages are not as the footer says, or as readers expect.
            ContentTooLargeError: They are too many, or too long.
        """
        return tuple(
            group._replace(chunks=tuple(map(self._chunk, group.chunks)))
            for group in groups
        )

    def _chunk(self, chunk: ColumnChunk) -> ColumnChunk:
        """Walk over the pages of a chunk; a dictionary may be the first of them."""
        position, n_values = chunk.start, 0
        while n_values < chunk.n_values and not self._stop.is_set():
            reader = ThriftReader(self._body, position, chunk.end, _MAX_HEAD_VALUES)
            try:
                page = reader.struct(layout.PAGE)
            except ThriftError:
                raise damaged_file() from None
            n_values += self._page(chunk, page, is_first=position == chunk.start)
            position = reader.position + page[3]
            if position > chunk.end or n_values > chunk.n_values:
                raise damaged_file()
        return chunk._replace(end=position)

    def _page(self, chunk: ColumnChunk, page: Struct, *, is_first: bool) -> int:
        """Check a page; return how many values it has for rows."""
        self._n_pages += 1
        if self._n_pages > MAX_PAGES:
            raise ContentTooLargeError(
                f"expected at most {MAX_PAGES} pages, got more: write longer pages"
            )
        unpacked, packed = page.get(2, -1), page.get(3, -1)
        is_plain = chunk.codec == layout.UNCOMPRESSED
        if unpacked < 0 or packed < 0 or (is_plain and unpacked != packed):
            raise damaged_file()
        self.n_bytes += unpacked
        self.n_text += unpacked * (chunk.column.what == "text")
        if self.n_bytes > self._most:
            raise too_long(self._most)
        match page.get(1):
            case layout.DICTIONARY_PAGE if is_first:
                _check_dictionary(chunk, page.get(7, {}), unpacked)
                return 0
            case layout.DATA_PAGE:
                about = page.get(5, {})
                return _n_values(chunk, about, about.get(2))
            case layout.DATA_PAGE_V2:
                about = page.get(8, {})
                levels, others = about.get(5, -1), about.get(6, -1)
                is_flat = about.get(3) == about.get(1) and others == 0
                if not is_flat or not 0 <= levels <= min(packed, unpacked):
                    raise damaged_file()
                return _n_values(chunk, about, about.get(4))
        raise damaged_file()


def _n_values(chunk: ColumnChunk, about: Struct, encoding: int | None) -> int:
    """Return how many values a page of data has; check how they are written."""
    if encoding not in _ENCODINGS.get(chunk.column.physical, _OF_OTHERS):
        raise refusal(
            "values that are plain or by dictionary (use_dictionary)",
            "another encoding",
        )
    n: int = about.get(1, -1)
    if n < 0:
        raise damaged_file()
    return n


def _check_dictionary(chunk: ColumnChunk, about: Struct, unpacked: int) -> None:
    """Check a dictionary: readers allocate memory for as many values as it says."""
    column = chunk.column
    width = layout.WIDTHS.get(column.physical, column.length)
    n = about.get(1, -1)
    is_plain = about.get(2) in (layout.PLAIN, layout.PLAIN_DICTIONARY)
    if not width or not is_plain or not 0 <= n * width <= unpacked:
        raise damaged_file()


def too_long(most_bytes: int) -> ContentTooLargeError:
    """Return the error for pages that unpack to more than a number of bytes."""
    return ContentTooLargeError(
        f"expected cells and pages of at most {most_bytes} bytes unpacked, got more"
    )
