"""The .npy format: one array of numbers or booleans, without pickle."""

import re
from io import BytesIO
from typing import Never

import numpy as np

from app.errors import Fault, UnprocessableError
from app.wire.body import Body
from app.wire.layout import Layout, Rows
from app.wire.reply import Chunk, Reply, chunks
from app.wire.safetensors import check_booleans, check_shape

MAX_HEADER_BYTES = 1024
_MAGIC = b"\x93NUMPY"
_DTYPES = {
    dtype.str.encode(): dtype
    for kind, sizes in (("f", "248"), ("i", "1248"), ("u", "1248"), ("b", "1"))
    for size in sizes
    for order in "<>"
    for dtype in [np.dtype(order + kind + size)]
}
# The size of the header's length field in each version.
_LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4}
# One member of the header, which is a Python dict literal with these three. numpy
# evaluates it as Python, which accepts too much and can raise nearly anything.
_MEMBER = re.compile(
    rb"""
    \s* (?P<quote>['"]) (?P<name>descr|fortran_order|shape) (?P=quote) \s* : \s*
    ( (?P<quote2>['"]) (?P<descr>[<>|=]?\w{1,8}) (?P=quote2)
    | (?P<fortran_order>True|False)
    | \( (?P<shape> (?: \s* \d{1,18} L? \s* , )* (?: \s* \d{1,18} L? )? \s* ) \)
    ) \s* (?: , | (?=\}) )
    """,
    re.VERBOSE | re.ASCII,
)
_START, _END = re.compile(rb"\s*\{"), re.compile(rb"\s*\}\s*\Z")
_INTEGER = re.compile(rb"\d+")


def read(body: Body, layout: Layout) -> Rows:
    """
    Return the array of a body; without a copy if it is float32 in C order.

    Raises:
        UnprocessableError: It does not match the layout.
        ContentTooLargeError: It has too many rows.
    """
    header, start = _header(body)
    dtype = _DTYPES.get(header["descr"])
    if dtype is None:
        _refuse(f"expected a dtype of {_names()}, got another")
    shape = tuple(int(size) for size in _INTEGER.findall(header["shape"]))
    shaped = check_shape(layout, shape)
    size = dtype.itemsize * shape[0] * layout.dim
    if len(body) != start + size:
        _refuse(f"expected {size} bytes of data, got {len(body) - start}")
    layout.check_n_rows(shape[0])
    values = check_booleans(np.frombuffer(body, dtype, offset=start), layout)
    if header["fortran_order"] == b"True":
        values = np.ascontiguousarray(values.reshape(shape, order="F"))
    return layout.to_rows(values, shaped=shaped)


def write(reply: Reply) -> list[Chunk]:
    """Return the main array; the scalars of a response are in its headers."""
    values = reply.main
    head = BytesIO()
    np.lib.format.write_array_header_1_0(
        head, np.lib.format.header_data_from_array_1_0(values)
    )
    return [head.getvalue(), *chunks(values)]


def _header(body: Body) -> tuple[dict[str, bytes], int]:
    """Return the three members of the header, and where the data start."""
    n_bytes = _LENGTH_BYTES.get(bytes(body[6:8]))
    if body[:6] != _MAGIC or n_bytes is None:
        _refuse("expected an .npy file of version 1.0 or 2.0")
    start = 8 + n_bytes
    length = int.from_bytes(body[8:start], "little")
    if length > min(len(body) - start, MAX_HEADER_BYTES):
        _refuse(f"expected an .npy header of at most {MAX_HEADER_BYTES} bytes")
    members = _members(bytes(body[start : start + length]))
    if members is None:
        _refuse("expected an .npy header of one array with descr, order and shape")
    return members, start + length


def _members(header: bytes) -> dict[str, bytes] | None:
    """Return the members of a header; None if it is malformed."""
    found = _START.match(header)
    members: dict[str, bytes] = {}
    for _ in range(3):
        if found is None or (found := _MEMBER.match(header, found.end())) is None:
            return None
        name = found["name"].decode()
        value = found[name]
        if value is None or name in members:
            return None
        members[name] = value
    return members if found and _END.match(header, found.end()) else None


def _names() -> str:
    return ", ".join(sorted({dtype.str[1:] for dtype in _DTYPES.values()}))


def _refuse(detail: str) -> Never:
    raise UnprocessableError(Fault("", detail))
