"""
Safetensors: eight bytes that say how long the header is, the header in JSON, the data.

Read here rather than by the library, which copies every tensor and looks at none of
what a service must refuse. One tensor comes in; scalars go out as metadata, which are
strings in this format.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Never, final

import numpy as np
import orjson
from numpy.typing import NDArray

from app.errors import Fault, UnprocessableError
from app.http.exchange import Body
from app.wire.layout import Layout, Rows
from app.wire.reply import Chunk, Reply, chunks

MAX_HEADER_BYTES = 1 << 14
Dtypes = Mapping[str, np.dtype[Any]]
FLOATS: Dtypes = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "F16": np.dtype("<f2"),
}
_NAMES = {"<f4": "F32", "<f8": "F64", "<i8": "I64", "|b1": "BOOL"}


@final
class Named(NamedTuple):
    """The values of one tensor, not looked at, and whether it is shaped."""

    values: NDArray[Any]
    shaped: bool


@final
class _Tensor(NamedTuple):
    """Where in the data a tensor lies: `begin` is -1 if it does not say so."""

    layout: Layout
    dtype: np.dtype[Any]
    n_rows: int
    shaped: bool
    begin: int
    size: int


def read(body: Body, layout: Layout) -> Rows:
    """
    Return the one tensor of a body, without a copy if it is float32.

    Raises:
        UnprocessableError: It is not what the layout wants.
        ContentTooLargeError: It has too many rows.
    """
    ((values, shaped),) = read_named(body, {layout: FLOATS})
    return layout.to_rows(values, shaped=shaped)


def read_named(body: Body, wanted: Mapping[Layout, Dtypes]) -> list[Named]:
    """
    Return the tensors of a body, which lie in it in any order, as they are wanted.

    Raises:
        UnprocessableError: One is missing, or is not what its layout wants.
        ContentTooLargeError: One has too many rows.
    """
    header, start = _header(body)
    header.pop("__metadata__", None)
    members = [(layout, header.pop(layout.name, None)) for layout in wanted]
    if header:
        _refuse(members[0][0], _expected(members[0][0]))
    tensors = [_tensor(layout, entry, wanted[layout]) for layout, entry in members]
    ordered = sorted(tensors, key=lambda tensor: tensor.begin)
    offset = 0
    for one in ordered:
        is_whole = one is not ordered[-1] or len(body) == start + offset + one.size
        if one.begin != offset or not is_whole:
            what = f"expected {one.size} bytes of data at offset {offset}"
            _refuse(one.layout, what)
        one.layout.check_n_rows(one.n_rows)
        offset += one.size
    return [
        Named(
            frombuffer(body, one.dtype, start + one.begin, one.n_rows * one.layout.dim),
            one.shaped,
        )
        for one in tensors
    ]


def head(body: Body) -> Body:
    """Return what may be the header of a body, as it came."""
    return body[8 : 8 + min(int.from_bytes(body[:8], "little"), MAX_HEADER_BYTES)]


def write(reply: Reply) -> list[Chunk]:
    """Return header and data; scalars are metadata."""
    header: dict[str, Any] = {}
    if reply.scalars:
        given = ((k, v) for k, v in reply.scalars.items() if v is not None)
        header["__metadata__"] = {name: str(value) for name, value in given}
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
    Check a whole array's shape; say whether it is shaped rather than flat.

    Raises:
        UnprocessableError: It is neither [N, D] nor [N, *shape].
    """
    if len(shape) == 2 and shape[1] == layout.dim:
        return False
    if shape[1:] == layout.shape:
        return True
    came = f"[{', '.join(map(str, shape))}]" if len(shape) <= 8 else "more dimensions"
    detail = f"expected {layout.wanted}, got {came}"
    raise UnprocessableError(Fault(layout.pointer(), detail))


def frombuffer(
    body: Body, dtype: np.dtype[Any], start: int, count: int = -1
) -> NDArray[Any]:
    """Return the values of a body from `start` on; half precision widened."""
    values = np.frombuffer(body, dtype, count=count, offset=start)
    return values.astype(np.float32) if dtype.itemsize == 2 else values


def _tensor(layout: Layout, entry: object, dtypes: Dtypes) -> _Tensor:
    """Return what the header says of a tensor, once it is what is wanted."""
    if not isinstance(entry, dict):
        _refuse(layout, _expected(layout))
    dtype = dtypes.get(str(entry.get("dtype")))
    if dtype is None:
        _refuse(layout, f"expected a dtype of {', '.join(dtypes)}, got another")
    shape = _shape(entry.get("shape"))
    shaped = check_shape(layout, shape)
    size = dtype.itemsize * shape[0] * layout.dim
    match entry.get("data_offsets"):
        case [int(begin), int(end)] if end - begin == size:
            return _Tensor(layout, dtype, shape[0], shaped, begin, size)
    return _Tensor(layout, dtype, shape[0], shaped, -1, size)


def _expected(layout: Layout) -> str:
    return f"expected one tensor of this name, {layout.wanted}"


def _header(body: Body) -> tuple[dict[str, Any], int]:
    """Return the header and where the data start."""
    length = int.from_bytes(body[:8], "little")
    if len(body) < 8 or length > min(len(body) - 8, MAX_HEADER_BYTES):
        _malformed(f"a header of at most {MAX_HEADER_BYTES} bytes")
    try:
        header = orjson.loads(body[8 : 8 + length])
    except orjson.JSONDecodeError:
        _malformed("a header in JSON")
    if not isinstance(header, dict):
        _malformed("a header that is an object")
    return header, 8 + length


def _shape(shape: object) -> tuple[int, ...]:
    if not isinstance(shape, list) or not shape:
        _malformed("a shape")
    if not all(type(size) is int and 0 <= size < 1 << 32 for size in shape):
        _malformed("a shape of integers")
    return tuple(shape)


def _refuse(layout: Layout, detail: str) -> Never:
    raise UnprocessableError(Fault(layout.pointer(), detail))


def _malformed(wanted: str) -> Never:
    raise UnprocessableError(Fault("", f"expected safetensors with {wanted}"))
