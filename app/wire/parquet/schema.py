"""Reads the schema of a Parquet file: what the values of its columns are."""

from collections.abc import Sequence

from app.wire.parquet import layout
from app.wire.parquet.layout import Column, damaged_file, refusal
from app.wire.parquet.thrift import Struct

_MAX_PRECISION, _MAX_DECIMAL_BYTES = 38, 16
_OF_CONVERTED = {
    **dict.fromkeys((6, 7, 8, 9, 10), "dates or times"),
    **dict.fromkeys((19, 20), "documents of JSON or BSON"),
    21: "durations",
}
_OF_LOGICAL = dict.fromkeys((6, 7, 8), "dates or times")
_OTHERS = "bytes"
_WHOLE = (layout.INT32, layout.INT64)
_REAL = (layout.FLOAT, layout.DOUBLE)


def columns(elements: Sequence[Struct]) -> tuple[Column, ...]:
    """
    Return the columns below the root of a schema.

    Raises:
        UnprocessableError: One has lists or parts.
    """
    root, *leaves = elements
    for leaf in leaves:
        if leaf.get(5) or leaf.get(3, -1) not in (layout.REQUIRED, layout.OPTIONAL):
            wanted = "columns of numbers, texts and truth values"
            raise refusal(wanted, "one with lists or parts; write plain columns")
    if root.get(5) != len(leaves):
        raise damaged_file()
    return tuple(_column(leaf, position) for position, leaf in enumerate(leaves))


def _column(leaf: Struct, position: int) -> Column:
    try:
        name = leaf[4].decode("utf-8")
        physical = leaf[1]
    except (KeyError, UnicodeDecodeError):
        raise damaged_file() from None
    is_fixed = physical == layout.FIXED
    column = Column(
        name=name,
        position=position,
        physical=physical,
        length=leaf.get(2, 0) if is_fixed else 0,
        is_optional=leaf[3] == layout.OPTIONAL,
        what=_OTHERS,
    )
    logical: Struct = leaf.get(10, {})
    if layout.LOGICAL_DECIMAL in logical or leaf.get(6) == layout.DECIMAL:
        return _decimal(column, leaf, logical.get(layout.LOGICAL_DECIMAL, {}))
    for field, what in _OF_LOGICAL.items():
        if field in logical:
            return column._replace(what=what)
    return _plain(column, leaf.get(6), logical)


def _decimal(column: Column, leaf: Struct, logical: Struct) -> Column:
    """Return a column of decimals; a long one could repeat a long array of bytes."""
    scale: int = logical.get(1) or leaf.get(7) or 0
    precision: int = logical.get(2) or leaf.get(8) or 0
    is_short = column.physical in _WHOLE or 0 < column.length <= _MAX_DECIMAL_BYTES
    if not is_short or not 0 <= scale <= precision <= _MAX_PRECISION or not precision:
        return column._replace(what="decimals of another form than 16 bytes")
    return column._replace(
        what="decimal", converted=layout.DECIMAL, scale=scale, precision=precision
    )


def _plain(column: Column, converted: int | None, logical: Struct) -> Column:
    """Return a column of texts, numbers, truth values, or of what is not read."""
    physical = column.physical
    if physical == layout.BYTE_ARRAY:
        texts = (layout.LOGICAL_STRING, layout.LOGICAL_ENUM)
        is_text = not logical.keys().isdisjoint(texts)
        if is_text or converted in (layout.UTF8, layout.ENUM):
            return column._replace(what="text", converted=layout.UTF8)
    if physical == layout.BOOLEAN:
        return column._replace(what="truth")
    is_float16 = layout.LOGICAL_FLOAT16 in logical and column.length == 2
    if physical in _REAL or (physical == layout.FIXED and is_float16):
        return column._replace(what="number")
    wholes = (None, *layout.UNSIGNED, *layout.SIGNED)
    if physical in _WHOLE and converted in wholes:
        about = logical.get(layout.LOGICAL_INTEGER, {})
        is_unsigned = converted in layout.UNSIGNED or about.get(2) is False
        wide = layout.UNSIGNED[2 if physical == layout.INT32 else 3]
        return column._replace(what="number", converted=wide if is_unsigned else None)
    return column._replace(what=_OF_CONVERTED.get(converted or 0, _OTHERS))
