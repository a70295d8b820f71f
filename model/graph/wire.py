"""
Bound what a protobuf message becomes in memory, before it is parsed.

A message of two bytes may become an object of a hundred. So the fields are counted in
the bytes, by the schema, without building anything.
"""

from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor

from model.graph.graph import GraphError

# A network of 500 layers has about 10,000 fields.
MAX_FIELDS = 1 << 18
MAX_DEPTH = 16

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


def check_fields(content: bytes, schema: Descriptor) -> None:
    """
    Check that a message is well formed, not too deep, and of few enough fields.

    Text must be UTF-8.

    Raises:
        GraphError: It is not.
    """
    view = memoryview(content)
    waiting = [(view, schema, 0)]
    n_fields = 0
    while waiting:
        message, kind, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise GraphError(f"expected messages at most {MAX_DEPTH} deep")
        for number, part in _fields(message):
            n_fields += 1
            if n_fields > MAX_FIELDS:
                raise GraphError(
                    f"expected at most {MAX_FIELDS} fields; weights must be in "
                    "raw_data or packed"
                )
            field = kind.fields_by_number.get(number)
            if part is None or field is None:
                continue
            if field.message_type:
                waiting.append((part, field.message_type, depth + 1))
            elif field.type == field.TYPE_STRING:
                _check_text(part)


def _check_text(part: memoryview) -> None:
    try:
        str(part, "utf-8")
    except UnicodeDecodeError as error:
        raise GraphError("expected names in UTF-8") from error


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Yield number and content of each field; None for a number."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        wire = key & 7
        part = None
        if wire == _VARINT:
            _, at = _varint(message, at)
        elif wire == _BYTES:
            size, at = _varint(message, at)
            part = message[at : at + size]
            at += size
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise GraphError(f"not an ONNX file: wire type {wire} at byte {at}")
        if at > end:
            raise GraphError("not an ONNX file: it ends inside a field")
        yield key >> 3, part


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a number and the place behind it."""
    value = 0
    for i, byte in enumerate(message[at : at + _MAX_VARINT_BYTES]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, at + i + 1
    raise GraphError("not an ONNX file: a number does not end")
