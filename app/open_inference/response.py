"""The response to a request for inference: a JSON document, and binary tensors."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from app.http.response import Response
from app.open_inference.inference import HEADER_LENGTH
from app.wire.json import writer
from app.wire.reply import Chunk, Reply, chunks

_NAMES = {"<f4": "FP32", "<f8": "FP64"}


@final
@dataclass(frozen=True, eq=False)
class ResponseDocument:
    """The JSON document, written piece by piece; every iteration writes it again."""

    members: Mapping[str, Any]
    outputs: Mapping[str, NDArray[Any]]
    in_binary: Mapping[str, bool]

    @property
    def nbytes(self) -> int:
        """The size of the arrays, which stay in memory until the end."""
        return sum(values.nbytes for values in self.outputs.values())

    def __iter__(self) -> Iterator[bytes]:
        before = writer.dumps(self.members)[:-1] + b',"outputs":['
        for name, values in self.outputs.items():
            datatype, shape = _NAMES[values.dtype.str], values.shape
            tensor = {"name": name, "datatype": datatype, "shape": shape}
            if self.in_binary[name]:
                size = {"parameters": {"binary_data_size": values.nbytes}}
                yield before + writer.dumps(tensor | size)
            else:
                yield before + writer.dumps(tensor)[:-1] + b',"data":'
                yield from writer.array(values.reshape(-1))
                yield b"}"
            before = b","
        yield b"]}"


async def respond(
    reply: Reply, in_binary: Mapping[str, bool], names: Mapping[str, str | None]
) -> Response:
    """
    Return the response with a reply.

    Args:
        in_binary: The outputs to send, and whether each is sent in binary.
        names: Of the model and the request, for the document.
    """
    scalars = {k: v for k, v in reply.scalars.items() if v is not None}
    given = {**names, "parameters": scalars or None}
    members = {k: v for k, v in given.items() if v is not None}
    outputs = {name: np.ascontiguousarray(reply.tensors[name]) for name in in_binary}
    document = ResponseDocument(members, outputs, in_binary)
    n_rows, is_long = len(reply.main), writer.is_long(reply)
    has_binary = any(in_binary.values())
    if is_long and not has_binary:
        return Response(b"application/json", document, n_rows=n_rows)
    pieces: list[Chunk] = []
    for piece in document:
        pieces.append(piece)
        if is_long:
            await asyncio.sleep(0)
    head = b"".join(pieces)
    if not has_binary:
        return Response(b"application/json", [head], n_rows=n_rows)
    binary = (outputs[name] for name, is_binary in in_binary.items() if is_binary)
    parts = [head, *(chunk for values in binary for chunk in chunks(values))]
    length = ((HEADER_LENGTH, b"%d" % len(head)),)
    return Response(b"application/octet-stream", parts, headers=length, n_rows=n_rows)
