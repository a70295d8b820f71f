"""
A request for inference, cut into its document and the values of its one input.

Nearly all of a body is one array of numbers: in the document, as `data`, or in binary
after it. JSON is read as that of a native request, and binary values as safetensors, so
every answer has the bits of the native call's. Most documents of one client are equal,
so they are cached.
"""

import asyncio
import re
from functools import lru_cache
from typing import final

import numpy as np

from app.http import options
from app.http.input import Input
from app.open_inference.document import InferenceDocument, InputTensor, refuse_member
from app.wire import safetensors
from app.wire.body import Body
from app.wire.json import strict
from app.wire.layout import Layout, Rows

HEADER_LENGTH = b"inference-header-content-length"
MAX_BYTES = 4096  # of a document, without the numbers
_CACHED = 64
_MAX_DIGITS = 20  # more than the length of any body has
_DATA = re.compile(rb'"data"[ \t\r\n]*:[ \t\r\n]*(?=\[)')
_DTYPES = {  # by the names of safetensors
    name.replace("F", "FP").replace("I", "INT").replace("U", "UINT"): name
    for name in safetensors.NUMBERS
    if not name.startswith(("B", "F8"))
} | {"BF16": "BF16", "BOOL": "BOOL"}
_IN_JSON = ("FP32", "FP64")
_WHOLE = {"INT32": "<i4", "INT64": "<i8"}
_ONE_WHOLE = re.compile(rb"\[[ \t\r\n]*(\d{1,18})[ \t\r\n]*\]")
# Longer arrays are converted in a thread: numpy releases the interpreter lock.
_THREADED_BYTES = 1 << 20


@final
class Inference:
    """A request: its document, and where in the body the values of its input are."""

    def __init__(self, body: Body, header_length: bytes | None) -> None:
        """
        Parse a body, but for the values of its input.

        Args:
            header_length: The header Inference-Header-Content-Length.

        Raises:
            UnprocessableError: The document is not valid.
        """
        end = _document_end(header_length, len(body))
        found = _DATA.search(body, 0, min(end, MAX_BYTES))
        start = found.end() if found else end
        stop = _array_end(body, start, end) if found else end
        if found is not None and stop == start:
            refuse_member("inputs", "expected data to be an array of numbers")
        if found is not None and end != len(body):
            refuse_member("", "expected nothing after a document with data")
        if end - (stop - start) > MAX_BYTES:
            what = "bytes of JSON beside the numbers of one input"
            refuse_member("", f"expected at most {MAX_BYTES} {what}")
        empty = b"[]" if found else b""
        self.document = _document(b"".join((body[:start], empty, body[stop:end])))
        self._body, self._start, self._stop = body, start, stop if found else len(body)

    async def rows(self, wanted: Input) -> Rows:
        """
        Return the rows of the one input.

        Raises:
            UnprocessableError: They are not what the call takes.
            ContentTooLargeError: There are too many.
        """
        layout = wanted.layout
        tensor = self.document.only_input(layout.name)
        shaped = safetensors.check_shape(layout, tuple(tensor.shape))
        n_rows = tensor.shape[0]
        layout.check_n_rows(n_rows)
        if tensor.n_bytes is not None:
            rows = await self._binary_rows(tensor, layout, shaped=shaped)
            return await wanted.convert(rows)
        if tensor.datatype not in _IN_JSON:
            refuse_member(layout.name, "expected FP32 or FP64 in JSON, or binary data")
        read = wanted.json.read_tensor
        rows = await read(self._body, self._start, self._stop, n_rows, shaped=shaped)
        return await wanted.convert(rows)

    def number(self, name: str) -> int:
        """
        Return the one input as a whole number.

        Raises:
            UnprocessableError: It is not one.
        """
        tensor = self.document.only_input(name)
        dtype = _WHOLE.get(tensor.datatype)
        if dtype is None or any(size != 1 for size in tensor.shape):
            refuse_member(
                name, f"expected one number of {' or '.join(_WHOLE)}, of shape [1]"
            )
        if tensor.n_bytes is not None:
            self._check_size(tensor, np.dtype(dtype).itemsize)
            return int(np.frombuffer(self._body, dtype, 1, self._start)[0])
        found = _ONE_WHOLE.fullmatch(self._body, self._start, self._stop)
        if found is None:
            refuse_member(name, "expected one whole number that is not negative")
        return int(found[1])

    async def _binary_rows(
        self, tensor: InputTensor, layout: Layout, *, shaped: bool
    ) -> Rows:
        dtype = _DTYPES.get(tensor.datatype)
        if dtype is None:
            refuse_member(layout.name, f"expected a datatype of {', '.join(_DTYPES)}")
        n_values = tensor.shape[0] * layout.dim
        self._check_size(tensor, n_values * safetensors.NUMBERS[dtype].itemsize)

        def read() -> Rows:
            values = safetensors.values_at(
                self._body, self._start, n_values, dtype, layout
            )
            # The document may have any length, so its end need not be aligned.
            return layout.to_rows(np.require(values, requirements="A"), shaped=shaped)

        is_short = self._stop - self._start < _THREADED_BYTES
        return read() if is_short else await asyncio.to_thread(read)

    def _check_size(self, tensor: InputTensor, size: int) -> None:
        announced, came = tensor.n_bytes, self._stop - self._start
        if announced != size or came != size:
            got = f"{announced} announced and {came} bytes after the document"
            what = f"expected {size} bytes of data by its shape, got {got}"
            refuse_member(tensor.name, what)


@lru_cache(_CACHED)
def _document(text: bytes) -> InferenceDocument:
    return options.read(InferenceDocument, strict.read_members(text), b"")


def _document_end(header_length: bytes | None, n_bytes: int) -> int:
    """Return where the document ends in a body of so many bytes."""
    if header_length is None:
        return n_bytes
    # Python refuses to convert thousands of digits, even if nearly all are zeros.
    digits = header_length.lstrip(b"0")[:_MAX_DIGITS] or b"0"
    if not header_length.isdigit() or int(digits) > n_bytes:
        wanted = f"expected Inference-Header-Content-Length of at most {n_bytes}"
        refuse_member("", f"{wanted}, the bytes of the body")
    return int(digits)


def _array_end(body: Body, start: int, end: int) -> int:
    """
    Return where the array of numbers ends that begins at `start`.

    Numbers and brackets contain neither a quote nor a brace. What follows the array is
    short, so only the end of the document is searched for one.
    """
    begin = max(start, end - MAX_BYTES)
    places = (body.find(mark, begin, end) for mark in (b'"', b"}"))
    behind = min((place for place in places if place >= 0), default=end)
    return max(start, body.rfind(b"]", start, behind) + 1)
