"""The .npy format: one array, little-endian floats in C order, nothing pickled."""

from io import BytesIO
from tokenize import TokenError
from typing import Any, Never

import numpy as np

from app.errors import Fault, UnprocessableError
from app.http.exchange import Body
from app.wire.layout import Layout, Rows
from app.wire.reply import Chunk, Reply, chunks
from app.wire.safetensors import check_shape, frombuffer

MAX_HEADER_BYTES = 1024
_DTYPES = ("<f4", "<f8", "<f2")
# All that numpy's reader, which parses a Python literal, is known to raise.
_UNREADABLE = (
    ValueError,
    KeyError,
    TypeError,
    SyntaxError,
    TokenError,
    RecursionError,
    MemoryError,
)
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read(body: Body, layout: Layout) -> Rows:
    """
    Return the array of a body, without a copy if it is float32.

    Raises:
        UnprocessableError: It is not what the layout wants.
        ContentTooLargeError: It has too many rows.
    """
    shape, fortran_order, dtype, start = _header(body)
    if dtype.str not in _DTYPES or fortran_order:
        _refuse(f"expected C order and a dtype of {', '.join(_DTYPES)}, got another")
    shaped = check_shape(layout, shape)
    size = dtype.itemsize * shape[0] * layout.dim
    if len(body) != start + size:
        _refuse(f"expected {size} bytes of data, got {len(body) - start}")
    layout.check_n_rows(shape[0])
    return layout.to_rows(frombuffer(body, dtype, start), shaped=shaped)


def write(reply: Reply) -> list[Chunk]:
    """Return the main array; the scalars of an answer are in its headers."""
    values = reply.main
    head = BytesIO()
    np.lib.format.write_array_header_1_0(
        head, np.lib.format.header_data_from_array_1_0(values)
    )
    return [head.getvalue(), *chunks(values)]


def _header(body: Body) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, order, dtype and where the data start."""
    head = BytesIO(body[: MAX_HEADER_BYTES + 12])
    try:
        version = np.lib.format.read_magic(head)
        read_header = _HEADERS[version]
        header = read_header(head, max_header_size=MAX_HEADER_BYTES)
    except _UNREADABLE:
        _refuse("expected an .npy file of version 1.0 or 2.0")
    return *header, head.tell()


def _refuse(detail: str) -> Never:
    raise UnprocessableError(Fault("", detail))
