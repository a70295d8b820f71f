"""
The tensors of the Open Inference Protocol: read from requests, written to responses.

Values in binary are those of safetensors, and values in JSON those of a JSON request:
the same functions read them, so every answer has the bits of the native call's.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from app.errors import Headers
from app.http.input import Input
from app.http.response import Response
from app.open_inference.document import Inference, InputTensor, refuse
from app.wire import safetensors
from app.wire.json import writer
from app.wire.layout import Layout, Rows
from app.wire.reply import Chunk, Reply, chunks

HEADER_LENGTH = b"inference-header-content-length"
_DTYPES = {  # by the names of safetensors
    name.replace("F", "FP").replace("I", "INT").replace("U", "UINT"): name
    for name in safetensors.NUMBERS
    if not name.startswith(("B", "F8"))
} | {"BF16": "BF16", "BOOL": "BOOL"}
_NAMES = {"<f4": "FP32", "<f8": "FP64"}
_IN_JSON = ("FP32", "FP64")
_WHOLE = {"INT32": "<i4", "INT64": "<i8"}
_ONE_WHOLE = re.compile(rb"\[[ \t\r\n]*(\d{1,18})[ \t\r\n]*\]")
# Longer arrays are converted in a thread: numpy releases the interpreter lock.
_THREADED_BYTES = 1 << 20


async def read_rows(asked: Inference, wanted: Input) -> Rows:
    """
    Return the rows of the one input.

    Raises:
        UnprocessableError: They are not what the call takes.
        ContentTooLargeError: There are too many.
    """
    return await wanted.coding.converted(await _read_rows(asked, wanted))


async def _read_rows(asked: Inference, wanted: Input) -> Rows:
    layout = wanted.layout
    tensor = asked.document.only_input(layout.name)
    shaped = safetensors.check_shape(layout, tuple(tensor.shape))
    n_rows = tensor.shape[0]
    layout.check_n_rows(n_rows)
    _check_form(tensor)
    if tensor.data is not None:
        if tensor.datatype not in _IN_JSON:
            refuse(layout.name, "expected FP32 or FP64 in JSON, or binary data")
        start, stop, body = asked.start, asked.stop, asked.body
        read = wanted.json.read_tensor
        return await read(body, start, stop, n_rows, shaped=shaped)
    dtype = _DTYPES.get(tensor.datatype)
    if dtype is None:
        refuse(layout.name, f"expected a datatype of {', '.join(_DTYPES)}")
    size = n_rows * layout.dim * safetensors.NUMBERS[dtype].itemsize
    _check_size(asked, tensor, size)
    if size < _THREADED_BYTES:
        return _from_binary(asked, layout, dtype, n_rows, shaped)
    return await asyncio.to_thread(_from_binary, asked, layout, dtype, n_rows, shaped)


def read_number(asked: Inference, name: str) -> int:
    """
    Return the one input as a whole number.

    Raises:
        UnprocessableError: It is not one.
    """
    tensor = asked.document.only_input(name)
    dtype = _WHOLE.get(tensor.datatype)
    if dtype is None or prod(tensor.shape) != 1:
        refuse(name, f"expected one number of {' or '.join(_WHOLE)}, of shape [1]")
    _check_form(tensor)
    if tensor.data is None:
        _check_size(asked, tensor, np.dtype(dtype).itemsize)
        return int(np.frombuffer(asked.body, dtype, 1, asked.start)[0])
    found = _ONE_WHOLE.fullmatch(asked.body, asked.start, asked.stop)
    if found is None:
        refuse(name, "expected one whole number that is not negative")
    return int(found[1])


@final
class TensorDocument:
    """The JSON document of a response, written piece by piece."""

    def __init__(
        self,
        members: Mapping[str, Any],
        outputs: Mapping[str, NDArray[Any]],
        in_binary: Mapping[str, bool],
    ) -> None:
        self._members = members
        self._outputs = outputs
        self._in_binary = in_binary

    @property
    def nbytes(self) -> int:
        """The size of the arrays, which stay in memory until the end."""
        return sum(values.nbytes for values in self._outputs.values())

    def __iter__(self) -> Iterator[bytes]:
        """Write the document; every iteration gives the same pieces."""
        before = writer.dumps(self._members)[:-1] + b',"outputs":['
        for name, values in self._outputs.items():
            tensor: dict[str, Any] = {
                "name": name,
                "datatype": _NAMES[values.dtype.str],
                "shape": values.shape,
            }
            if self._in_binary[name]:
                tensor["parameters"] = {"binary_data_size": values.nbytes}
                yield before + writer.dumps(tensor)
            else:
                yield before + writer.dumps(tensor)[:-1] + b',"data":'
                yield from writer.array(values.reshape(-1))
                yield b"}"
            before = b","
        yield b"]}"


async def respond(
    reply: Reply, members: Mapping[str, Any], in_binary: Mapping[str, bool]
) -> Response:
    """
    Return the response with a reply.

    Args:
        members: Those of its document that are not tensors.
        in_binary: The outputs to send, and whether each is sent in binary.
    """
    outputs = {name: np.ascontiguousarray(reply.tensors[name]) for name in in_binary}
    document = TensorDocument(members, outputs, in_binary)
    n_rows, is_long = len(reply.main), writer.is_long(reply)
    if is_long and not any(in_binary.values()):
        return Response(b"application/json", document, n_rows=n_rows)
    pieces: list[Chunk] = []
    for piece in document:
        pieces.append(piece)
        if is_long:
            await asyncio.sleep(0)
    head = b"".join(pieces)
    if not any(in_binary.values()):
        return Response(b"application/json", [head], n_rows=n_rows)
    binary = [outputs[name] for name, is_binary in in_binary.items() if is_binary]
    parts = [head, *(chunk for values in binary for chunk in chunks(values))]
    length: Headers = ((HEADER_LENGTH, b"%d" % len(head)),)
    return Response(b"application/octet-stream", parts, headers=length, n_rows=n_rows)


def _check_form(tensor: InputTensor) -> None:
    """Check that the values are either in the document or in binary after it."""
    is_binary = tensor.parameters.binary_data_size is not None
    if is_binary == (tensor.data is not None) or tensor.data:
        what = "expected its values either in data or in binary_data_size bytes"
        refuse(tensor.name, what)


def _check_size(asked: Inference, tensor: InputTensor, size: int) -> None:
    announced, came = tensor.parameters.binary_data_size, asked.stop - asked.start
    if announced != size or came != size:
        got = f"{announced} announced and {came} bytes after the document"
        refuse(tensor.name, f"expected {size} bytes of data by its shape, got {got}")


def _from_binary(
    asked: Inference,
    layout: Layout,
    dtype: str,
    n_rows: int,
    shaped: bool,  # noqa: FBT001  as in `Rows`
) -> Rows:
    n_values = n_rows * layout.dim
    values = safetensors.values_at(asked.body, asked.start, n_values, dtype, layout)
    # The document may have any length, so its end need not be aligned.
    return layout.to_rows(np.require(values, requirements="A"), shaped=shaped)
