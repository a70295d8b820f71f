"""The JSON document of a request for inference, without the numbers of its input."""

from collections.abc import Collection
from typing import Annotated, Any, Literal, Never, TypeVar

from pydantic import Field, NonNegativeInt

from app.call_parts.row_output import RowOutput
from app.errors import Fault, UnprocessableError
from app.http import options
from app.http.schema import ImageInput, ImageOutput, StrictObject

_BINARY_OUTPUT = "binary_data_output"
# About forms of native requests and responses that this protocol does not have.
_OF_NATIVE_FORMS = (
    ImageInput.model_fields | ImageOutput.model_fields | RowOutput.model_fields
).keys()

_EMPTY: Any = Field(default_factory=dict)
_Options = TypeVar("_Options", bound=StrictObject)


class InputTensor(StrictObject):
    """An input; `data` is empty here, because its numbers are cut out."""

    name: str
    shape: Annotated[list[NonNegativeInt], Field(min_length=1)]
    datatype: str
    parameters: dict[Literal["binary_data_size"], NonNegativeInt | None] = _EMPTY
    data: list[Any] | None = None

    @property
    def n_bytes(self) -> int | None:
        """The size of its values after the document; None if they are in `data`."""
        n_bytes = self.parameters.get("binary_data_size")
        if (n_bytes is None) == (self.data is None) or self.data:
            what = "expected its values either in data or in binary_data_size bytes"
            refuse_member(self.name, what)
        return n_bytes


class RequestedOutput(StrictObject):
    """An output that the client wants, after the document in binary or in it."""

    name: str
    parameters: dict[Literal["binary_data"], bool | None] = _EMPTY


class InferenceDocument(StrictObject):
    """
    What a client asks for.

    Attributes:
        model_name: Sent by KServe's client, and not used: the URL names the model.
    """

    id: str | None = None
    model_name: str | None = None
    model_version: str | None = None
    parameters: dict[str, Any] = _EMPTY
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
            refuse_member("inputs", f"expected one input, {name}, got {got}")
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
            refuse_member(
                "parameters", f"expected {_BINARY_OUTPUT} to be true or false"
            )
        asked = {one.name: one.parameters.get("binary_data") for one in self.outputs}
        if len(asked) != len(self.outputs) or not asked.keys() <= set(available):
            names = ", ".join(available)
            refuse_member(
                "outputs", f"expected distinct ones, with these options of {names}"
            )
        wanted = asked or dict.fromkeys(available)
        return {k: default if is_ is None else is_ for k, is_ in wanted.items()}

    def options(self, schema: type[_Options], query: bytes, **inputs: int) -> _Options:
        """
        Return the options of the call, from the parameters, the query and inputs.

        Raises:
            UnprocessableError: One is unknown, invalid or not for tensors.
        """
        given = {k: v for k, v in self.parameters.items() if k != _BINARY_OUTPUT}
        for name in inputs.keys() & given.keys():
            refuse_member(name, "expected it once, as an input or as a parameter")
        parsed = options.read(schema, {**given, **inputs}, query)
        for name in _OF_NATIVE_FORMS & schema.model_fields.keys():
            if getattr(parsed, name) != schema.model_fields[name].default:
                refuse_member(name, "expected none: this protocol has tensors only")
        return parsed


def refuse_member(name: str, detail: str) -> Never:
    """Raise an error about a member of the document."""
    raise UnprocessableError(Fault(f"/{name}" if name else "", detail))
