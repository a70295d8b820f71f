"""The names and numbers of Parquet's metadata (parquet.thrift), as far as read."""

from typing import NamedTuple, final

from app.errors import Fault, UnprocessableError
from app.wire.parquet.thrift import BINARY, BOOL, I8, I32, I64, Fields, ListOf

MAGIC = b"PAR1"
MAGIC_ENCRYPTED = b"PARE"

# Physical types
BOOLEAN, INT32, INT64, FLOAT, DOUBLE, BYTE_ARRAY, FIXED = 0, 1, 2, 4, 5, 6, 7
WIDTHS = {INT32: 4, INT64: 8, FLOAT: 4, DOUBLE: 8, BYTE_ARRAY: 4}  # at least, in bytes
# Converted types, which say what a physical type stands for
UTF8, ENUM, DECIMAL = 0, 4, 5
UNSIGNED, SIGNED = (11, 12, 13, 14), (15, 16, 17, 18)
# Logical types, which say the same in newer files; fields of a union
LOGICAL_STRING, LOGICAL_ENUM, LOGICAL_DECIMAL = 1, 4, 5
LOGICAL_INTEGER, LOGICAL_NOTHING, LOGICAL_FLOAT16 = 10, 11, 15
OTHERS = (2, 3, 6, 7, 8, 12, 13, 14, 16, 17, 18)
# Repetition
REQUIRED, OPTIONAL = 0, 1
# Codecs that are decompressed in one step, into a buffer of the size that a page says
UNCOMPRESSED = 0
CODECS = (UNCOMPRESSED, 1, 2, 4, 6, 7)  # snappy, gzip, brotli, zstd, lz4_raw
# Encodings whose values take no more memory than a page or the number of rows; the
# words of DELTA_BYTE_ARRAY share beginnings, so that a page of them may be huge.
PLAIN, PLAIN_DICTIONARY, RLE, DELTA_BINARY_PACKED = 0, 2, 3, 5
RLE_DICTIONARY, BYTE_STREAM_SPLIT = 8, 9
BY_DICTIONARY = (PLAIN_DICTIONARY, RLE_DICTIONARY)
# Kinds of pages
DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = 0, 2, 3

_EMPTY: Fields = {}
_LOGICAL_TYPE: Fields = {
    **dict.fromkeys((LOGICAL_STRING, LOGICAL_ENUM, *OTHERS), _EMPTY),
    LOGICAL_DECIMAL: {1: I32, 2: I32},
    LOGICAL_INTEGER: {1: I8, 2: BOOL},
    LOGICAL_NOTHING: _EMPTY,
    LOGICAL_FLOAT16: _EMPTY,
}
_COLUMN: Fields = {
    1: I32,  # physical type
    2: I32,  # length of a fixed one
    3: I32,  # repetition
    4: BINARY,  # name
    5: I32,  # number of children
    6: I32,  # converted type
    7: I32,  # scale
    8: I32,  # precision
    10: _LOGICAL_TYPE,
}
_CHUNK: Fields = {
    1: BINARY,  # the path of another file
    3: {
        1: I32,  # physical type
        4: I32,  # codec
        5: I64,  # number of values
        7: I64,  # compressed size
        9: I64,  # position of the first data page
        11: I64,  # position of the dictionary page
    },
    8: _EMPTY,  # how it is encrypted
    9: BINARY,  # encrypted metadata
}
FILE: Fields = {
    2: ListOf(_COLUMN),
    3: I64,  # number of rows
    4: ListOf({1: ListOf(_CHUNK), 3: I64}),  # row groups, with their number of rows
    8: _EMPTY,  # how it is encrypted
}
PAGE: Fields = {
    1: I32,  # kind
    2: I32,  # uncompressed size
    3: I32,  # compressed size
    5: {1: I32, 2: I32},  # of data: number of values, encoding
    7: {1: I32, 2: I32},  # of a dictionary: number of values, encoding
    8: {1: I32, 3: I32, 4: I32, 5: I32, 6: I32},  # of data: values, rows, encoding,
    # the bytes of definition and of repetition levels
}


@final
class Column(NamedTuple):
    """
    A column of a file.

    Attributes:
        position: Among the columns of the file.
        physical: The type of its values, and `length` that of a fixed one.
        what: What its values are, if they are cells: "text", "decimal", "truth",
            "number"; else what was found, for an error.
        converted: The converted type to read it by, None without one.
    """

    name: str
    position: int
    physical: int
    length: int
    is_optional: bool
    what: str
    converted: int | None = None
    scale: int = 0
    precision: int = 0


@final
class ColumnChunk(NamedTuple):
    """
    The values of one column in one row group: pages, one after the other.

    Attributes:
        start: The position of the first page.
        end: The position after the last page.
    """

    column: Column
    codec: int
    n_values: int
    start: int
    end: int


@final
class RowGroup(NamedTuple):
    """Rows of a file: a chunk for each column that is read."""

    n_rows: int
    chunks: tuple[ColumnChunk, ...]


def refusal(wanted: str, got: str) -> UnprocessableError:
    """Return the error for a body that is not as it should be."""
    return UnprocessableError(Fault("", f"expected {wanted}, got {got}"))


def damaged_file() -> UnprocessableError:
    """Return the error for a body that contradicts itself."""
    return refusal("an intact Parquet file", "a damaged or truncated one")
