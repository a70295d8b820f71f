"""
The JSON document of a request for inference, and where the values of its tensor are.

Nearly all of a body is one array of numbers: in the document, as `data`, or in binary
after it. So an array in the document is cut out, and `app.open_inference.tensors` reads
it as the native calls do. Most documents of one client are equal, so they are cached.
"""

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Annotated, Any, Never, TypeVar, final

from pydantic import Field

from app.call_parts.row_output import RowOutput
from app.errors import Fault, UnprocessableError
from app.http import options
from app.http.schema import ImageInput, ImageOutput, StrictObject
from app.wire.body import Body
from app.wire.json import strict

MAX_BYTES = 4096  # of a document, without the numbers
_CACHED = 64
_DATA = re.compile(rb'"data"[ \t\r\n]*:[ \t\r\n]*(?=\[)')
_BINARY_OUTPUT = "binary_data_output"
# About forms of native requests and responses that this protocol does not have.
_OF_NATIVE_FORMS = frozenset(
    name
    for options in (ImageInput, ImageOutput, RowOutput)
    for name in options.model_fields
)

_Options = TypeVar("_Options", bound=StrictObject)


class BinaryInput(StrictObject):
    """The parameters of an input: how many bytes of it follow the document."""

    binary_data_size: Annotated[int, Field(ge=0)] | None = None


class InputTensor(StrictObject):
    """An input; `data` is empty here, because its numbers are cut out."""

    name: str
    shape: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    datatype: str
    parameters: BinaryInput = BinaryInput()
    data: list[Any] | None = None


class BinaryOutput(StrictObject):
    """The parameters of an output: whether it follows the document in binary."""

    binary_data: bool | None = None


class RequestedOutput(StrictObject):
    """An output that the client wants."""

    name: str
    parameters: BinaryOutput = BinaryOutput()


class InferenceDocument(StrictObject):
    """
    What a client asks for.

    Attributes:
        model_name: Sent by KServe's client, and not used: the URL names the model.
    """

    id: str | None = None
    model_name: str | None = None
    model_version: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    inputs: list[InputTensor] = Field(default_factory=list)
    outputs: list[RequestedOutput] = Field(default_factory=list)

    def only_input(self, name: str) -> InputTensor:
        """
        Return the one input.

        Raises:
            UnprocessableError: There is another, or not exactly one.
        """
        if [tensor.name for tensor in self.inputs] != [name]:
            got = f"{len(self.inputs)} inputs" if len(self.inputs) != 1 else "another"
            refuse("inputs", f"expected one input, {name}, got {got}")
        return self.inputs[0]

    def binary_by_output(self, available: Collection[str]) -> dict[str, bool]:
        """
        Return the outputs to send, in order, and whether each is sent in binary.

        Args:
            available: The outputs of the model, or of its answer to these options.

        Raises:
            UnprocessableError: An output is not available.
        """
        default = self.parameters.get(_BINARY_OUTPUT, False)
        if not isinstance(default, bool):
            refuse("parameters", f"expected {_BINARY_OUTPUT} to be true or false")
        asked = {one.name: one.parameters.binary_data for one in self.outputs}
        if len(asked) != len(self.outputs) or not asked.keys() <= set(available):
            names = ", ".join(available)
            refuse("outputs", f"expected distinct ones, with these options of {names}")
        wanted: dict[str, bool | None] = asked or dict.fromkeys(available)
        return {
            name: default if binary is None else binary
            for name, binary in wanted.items()
        }

    def options(self, schema: type[_Options], query: bytes, **inputs: int) -> _Options:
        """
        Return the options of the call, from the parameters, the query and inputs.

        Raises:
            UnprocessableError: One is unknown, invalid or not for tensors.
        """
        given = {k: v for k, v in self.parameters.items() if k != _BINARY_OUTPUT}
        for name in inputs.keys() & given.keys():
            refuse(name, "expected it once, as an input or as a parameter")
        parsed = options.read(schema, {**given, **inputs}, query)
        for name in _OF_NATIVE_FORMS & schema.model_fields.keys():
            if getattr(parsed, name) != schema.model_fields[name].default:
                refuse(name, "expected none: this protocol has tensors only")
        return parsed


@final
class Inference:
    """
    A request: its document, and the body with the values of its tensor.

    Attributes:
        start: Where the values begin in the body.
        stop: Where they end.
    """

    def __init__(self, body: Body, header_length: bytes | None) -> None:
        """
        Parse a body, but for the values of its tensor.

        Args:
            header_length: The header Inference-Header-Content-Length.

        Raises:
            UnprocessableError: The document is not valid.
        """
        self.body = body
        end = _document_end(header_length, len(body))
        self.start, self.stop = end, len(body)
        found = _DATA.search(body, 0, min(end, MAX_BYTES))
        if found is not None:
            self.start = found.end()
            self.stop = _array_end(body, self.start, end)
            if self.stop == self.start:
                refuse("inputs", "expected data to be an array of numbers")
            if end != len(body):
                refuse("", "expected nothing after a document with data")
        if end - (self.stop - self.start if found else 0) > MAX_BYTES:
            what = "bytes of JSON beside the numbers of one input"
            refuse("", f"expected at most {MAX_BYTES} {what}")
        text = bytes(body[:end])
        if found is not None:
            text = b"".join((body[: self.start], b"[]", body[self.stop : end]))
        self.document = _document(text)


def refuse(name: str, detail: str) -> Never:
    """Raise an error about a member of the document."""
    raise UnprocessableError(Fault(f"/{name}" if name else "", detail))


@lru_cache(_CACHED)
def _document(text: bytes) -> InferenceDocument:
    return options.read(InferenceDocument, strict.read_members(text), b"")


def _document_end(header_length: bytes | None, n_bytes: int) -> int:
    """Return where the document ends in a body of so many bytes."""
    if header_length is None:
        return n_bytes
    if not header_length.isdigit() or int(header_length[:20]) > n_bytes:
        wanted = f"expected Inference-Header-Content-Length of at most {n_bytes}"
        refuse("", f"{wanted}, the bytes of the body")
    return int(header_length)


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
