"""
Reads the footer of a Parquet file: its columns, and where their values are.

Only flat columns are read. Nothing that the footer says is trusted: positions are
checked against the body, and pages against both (`pages`).
"""

from collections.abc import Sequence
from typing import NamedTuple, final

from app.wire.body import Body
from app.wire.parquet import layout, schema
from app.wire.parquet.layout import Column, ColumnChunk, RowGroup, damaged_file, refusal
from app.wire.parquet.thrift import Struct, ThriftError, ThriftReader

MAX_FOOTER_BYTES = 1 << 22
MAX_FOOTER_VALUES = 1 << 18
_TAIL = 8  # the length of the footer, and the magic number


@final
class Footer(NamedTuple):
    """The columns of a file, and where its row groups and its footer are."""

    columns: tuple[Column, ...]
    n_rows: int
    groups: list[Struct]
    start: int

    def groups_of(self, wanted: Sequence[Column]) -> tuple[RowGroup, ...]:
        """
        Return the row groups, with the chunks of some columns.

        Raises:
            UnprocessableError: They are not in the body, or of the wrong size.
        """
        found = []
        n_left = self.n_rows
        for group in self.groups:
            chunks, n = group.get(1), group.get(3)
            if chunks is None or n is None or len(chunks) != len(self.columns):
                raise damaged_file()
            if not 0 <= n <= n_left:
                raise damaged_file()
            n_left -= n
            places = [self._chunk(one, chunks[one.position], n) for one in wanted]
            found += [RowGroup(n, tuple(places))] if n else []
        if n_left:
            raise damaged_file()
        return tuple(found)

    def _chunk(self, column: Column, chunk: Struct, n_rows: int) -> ColumnChunk:
        """Return where the values of a column are."""
        if 8 in chunk or 9 in chunk:
            raise refusal("a file that is not encrypted", "an encrypted column")
        about = chunk.get(3)
        if about is None or 1 in chunk:
            raise refusal("one whole Parquet file", "one with a column elsewhere")
        data, size, codec = about.get(9, -1), about.get(7, -1), about.get(4)
        # Some writers say 0 for no dictionary.
        dictionary = about.get(11, 0)
        start = dictionary if 0 < dictionary < data else data
        end = start + size
        fits = len(layout.MAGIC) <= start < end <= self.start
        if not n_rows:
            return ColumnChunk(column, layout.UNCOMPRESSED, 0, 0, 0)
        if not fits or about.get(1) != column.physical or about.get(5) != n_rows:
            raise damaged_file()
        if codec not in layout.CODECS:
            wanted = "a codec of snappy, gzip, brotli, zstd, lz4_raw or none"
            raise refusal(wanted, "another one")
        return ColumnChunk(column, codec, n_rows, start, end)


def read(body: Body) -> Footer:
    """
    Read the footer of a body.

    Raises:
        UnprocessableError: It has none, or columns that are not flat.
    """
    n, magic = len(body), len(layout.MAGIC)
    if body[-magic:] == layout.MAGIC_ENCRYPTED:
        raise refusal("a file that is not encrypted", "an encrypted one")
    is_parquet = body[:magic] == body[-magic:] == layout.MAGIC
    if n < magic + _TAIL or not is_parquet:
        raise refusal("a Parquet file", "something else, or a part of one")
    size = int.from_bytes(body[-_TAIL:-magic], "little")
    start = n - _TAIL - size
    if start < magic:
        raise damaged_file()
    if size > MAX_FOOTER_BYTES:
        wanted = f"a footer of at most {MAX_FOOTER_BYTES} bytes"
        raise refusal(wanted, f"{size}; write fewer row groups or columns")
    reader = ThriftReader(body, start, n - _TAIL, MAX_FOOTER_VALUES)
    try:
        found = reader.struct(layout.FILE)
    except ThriftError:
        if reader.n_left >= 0:
            raise damaged_file() from None
        wanted = f"a footer of at most {MAX_FOOTER_VALUES} values"
        raise refusal(wanted, "more; write fewer row groups or columns") from None
    if 8 in found:
        raise refusal("a file that is not encrypted", "an encrypted one")
    elements, n_rows = found.get(2), found.get(3, -1)
    if not elements or n_rows < 0:
        raise damaged_file()
    return Footer(schema.columns(elements), n_rows, found.get(4, []), start)
