"""
The safetensors format: eight bytes with the header's length, a JSON header, the data.

Parsed here and not by the library, which copies every tensor, accepts duplicate names,
and does not check what a service must refuse. Scalars of responses are metadata, which
are strings in this format.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple, Never, final

import numpy as np
import orjson
from numpy.typing import NDArray

from app.errors import Fault, UnprocessableError
from app.wire.body import Body
from app.wire.layout import Layout, Rows
from app.wire.nesting import is_too_deep
from app.wire.reply import Chunk, Reply, Scalar, chunks
from app.wire.short_floats import SHORT_FLOATS

MAX_HEADER_BYTES = 1 << 14
Dtypes = Mapping[str, np.dtype[Any]]
NUMBERS: Dtypes = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "F16": np.dtype("<f2"),
    **{name: dtype for name, (dtype, _) in SHORT_FLOATS.items()},
    "BOOL": np.dtype("?"),
    **{
        f"{kind}{8 * n}": np.dtype(f"<{kind.lower()}{n}")
        for kind in "IU"
        for n in (1, 2, 4, 8)
    },
}
# Most requests of one client have the same header, so short headers are cached.
_MAX_CACHED_BYTES = 512
_CACHED_HEADERS = 64
_MEMBERS = {"dtype", "shape", "data_offsets"}
_MAX_DIGITS = 10
_NAMES = {"<f4": "F32", "<f8": "F64", "<i8": "I64", "|b1": "BOOL"}


@final
class SentTensor(NamedTuple):
    """The values of one tensor, as they were sent, and whether it is shaped."""

    values: NDArray[Any]
    shaped: bool


@final
class _Entry(NamedTuple):
    """The header's entry of a tensor, which is at [begin, end) of the data."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@final
class _Tensor(NamedTuple):
    """A tensor that matches its layout; `begin` is -1 if its size is wrong."""

    layout: Layout
    name: str
    n_rows: int
    shaped: bool
    begin: int
    size: int


_Entries = Mapping[str, _Entry]


def read(body: Body, layout: Layout) -> Rows:
    """
    Return the one tensor of a body, without a copy if it is float32.

    Raises:
        UnprocessableError: It does not match the layout.
        ContentTooLargeError: It has too many rows.
    """
    ((values, shaped),) = read_tensors(body, (layout,))
    return layout.to_rows(values, shaped=shaped)


def read_tensors(body: Body, wanted: Sequence[Layout]) -> list[SentTensor]:
    """
    Return the tensors of a body in the order of `wanted`.

    Raises:
        UnprocessableError: A tensor is missing, or does not match its layout.
        ContentTooLargeError: A tensor has too many rows.
    """
    entries, start = _header(body)
    if len(entries) > len(wanted):
        wanted[0].refuse(_expected(wanted[0]))
    tensors = [_tensor(layout, entries.get(layout.name)) for layout in wanted]
    ordered = sorted(tensors, key=lambda tensor: tensor.begin)
    offset = 0
    for one in ordered:
        is_whole = one is not ordered[-1] or len(body) == start + offset + one.size
        if one.begin != offset or not is_whole:
            what = f"expected {one.size} bytes of data at offset {offset}"
            one.layout.refuse(what)
        one.layout.check_n_rows(one.n_rows)
        offset += one.size
    return [SentTensor(_values(body, start, one), one.shaped) for one in tensors]


def head(body: Body) -> Body:
    """Return the header of a body, unchecked."""
    return body[8 : 8 + min(int.from_bytes(body[:8], "little"), MAX_HEADER_BYTES)]


def write(reply: Reply) -> list[Chunk]:
    """Return header and data; scalars are metadata."""
    header: dict[str, Any] = {}
    if reply.scalars:
        given = ((k, v) for k, v in reply.scalars.items() if v is not None)
        header["__metadata__"] = {name: _text(value) for name, value in given}
    offset = 0
    for name, values in reply.tensors.items():
        end = offset + values.nbytes
        offsets = [offset, end]
        dtype = _NAMES[values.dtype.str]
        header[name] = {"dtype": dtype, "shape": values.shape, "data_offsets": offsets}
        offset = end
    text = orjson.dumps(header)
    text += b" " * (-len(text) % 8)
    data = [chunk for values in reply.tensors.values() for chunk in chunks(values)]
    return [len(text).to_bytes(8, "little") + text, *data]


def check_shape(layout: Layout, shape: tuple[int, ...]) -> bool:
    """
    Check the shape of an array; return whether it is shaped rather than flat.

    Raises:
        UnprocessableError: It is neither [N, D] nor [N, *shape].
    """
    if len(shape) == 2 and shape[1] == layout.dim:
        return False
    if shape[1:] == layout.shape:
        return True
    got = f"[{', '.join(map(str, shape))}]" if len(shape) <= 8 else "more dimensions"
    detail = f"expected {layout.wanted}, got {got}"
    raise UnprocessableError(Fault(layout.pointer(), detail))


def check_booleans(values: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """
    Return values; if they are booleans, after a check that each is 0 or 1.

    Raises:
        UnprocessableError: A byte is neither.
    """
    if values.dtype.kind == "b" and values.size and values.view(np.uint8).max() > 1:
        layout.refuse("expected booleans, bytes of 0 or 1, got another byte")
    return values


def values_at(
    body: Body, offset: int, n_values: int, dtype: str, layout: Layout
) -> NDArray[Any]:
    """
    Return numbers of a dtype that begin at an offset of a body.

    Raises:
        UnprocessableError: They are booleans, and a byte is neither 0 nor 1.
    """
    values = np.frombuffer(body, NUMBERS[dtype], count=n_values, offset=offset)
    if dtype in SHORT_FLOATS:
        _, widened = SHORT_FLOATS[dtype]
        return widened(values)
    return check_booleans(values, layout)


def _values(body: Body, start: int, tensor: _Tensor) -> NDArray[Any]:
    """Return the values of a tensor of a body whose data begin at `start`."""
    layout = tensor.layout
    n_values, offset = tensor.n_rows * layout.dim, start + tensor.begin
    return values_at(body, offset, n_values, tensor.name, layout)


def _tensor(layout: Layout, entry: _Entry | None) -> _Tensor:
    """Check the header's entry of a tensor against its layout."""
    if entry is None:
        layout.refuse(_expected(layout))
    dtype = NUMBERS.get(entry.dtype)
    if dtype is None:
        layout.refuse(f"expected a dtype of {', '.join(NUMBERS)}, got another")
    shaped = check_shape(layout, entry.shape)
    n_rows = entry.shape[0]
    size = dtype.itemsize * n_rows * layout.dim
    begin = entry.begin if entry.end - entry.begin == size else -1
    return _Tensor(layout, entry.dtype, n_rows, shaped, begin, size)


def _expected(layout: Layout) -> str:
    return f"expected one tensor of this name, {layout.wanted}"


def _header(body: Body) -> tuple[_Entries, int]:
    """Return the header's entries, and where the data start."""
    length = int.from_bytes(body[:8], "little")
    if len(body) < 8 or length > min(len(body) - 8, MAX_HEADER_BYTES):
        _malformed(f"a header of at most {MAX_HEADER_BYTES} bytes")
    text = bytes(body[8 : 8 + length])
    read_entries = _cached_entries if length <= _MAX_CACHED_BYTES else _entries
    return read_entries(text), 8 + length


def _entries(text: bytes) -> _Entries:
    """Parse a header; return the entries of tensors, without metadata."""
    if is_too_deep(text):
        _malformed("a JSON header that is not nested")
    try:
        header = json.loads(
            text.decode(), object_pairs_hook=_distinct_members, parse_int=_integer
        )
    except ValueError:
        _malformed("a JSON header with distinct keys")
    if type(header) is not dict:
        _malformed("a header that is an object")
    metadata = header.pop("__metadata__", {})
    if type(metadata) is not dict or not all(
        type(value) is str for value in metadata.values()
    ):
        _malformed("metadata that are strings")
    return MappingProxyType({name: _entry(entry) for name, entry in header.items()})


_cached_entries = lru_cache(_CACHED_HEADERS)(_entries)


def _entry(entry: object) -> _Entry:
    """Parse the entry of one tensor."""
    if type(entry) is not dict or entry.keys() != _MEMBERS:
        _malformed("dtype, shape and data_offsets of each tensor")
    dtype = entry["dtype"]
    if type(dtype) is not str:
        _malformed("a dtype that is a string")
    shape, offsets = _sizes(entry["shape"]), _sizes(entry["data_offsets"])
    if len(offsets) != 2:
        _malformed("two data_offsets")
    return _Entry(dtype, shape, *offsets)


def _sizes(sizes: object) -> tuple[int, ...]:
    # isinstance would accept booleans.
    if not isinstance(sizes, list) or not all(
        type(size) is int and 0 <= size < 1 << 32 for size in sizes
    ):
        _malformed("sizes that are integers")
    return tuple(sizes)


def _distinct_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate key")
    return members


def _integer(digits: str) -> int:
    """Return an integer; -1, which is refused, if it is too long for a size."""
    return int(digits) if len(digits) <= _MAX_DIGITS else -1


def _text(value: Scalar) -> str:
    """Return a scalar as text; names as a JSON array."""
    return json.dumps(value) if isinstance(value, tuple) else str(value)


def _malformed(wanted: str) -> Never:
    raise UnprocessableError(Fault("", f"expected safetensors with {wanted}"))
