"""The models of the Open Inference Protocol: the calls that compute on rows."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple, final

from app.call_parts.call import Call
from app.call_parts.fields import Values
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import InputRows, OnlyIf, Shape, ShapeOrDraws, data_shape
from app.calls.decode import DecodeOptions, decode, decoded
from app.calls.elbo import ElboOptions, elbo, estimated
from app.calls.encode import EncodeOptions, encode, encoded
from app.calls.reconstruct import ReconstructOptions, reconstruct, reconstructed
from app.calls.sample import SampleOptions, sample, sampled
from app.errors import NotFoundError
from app.http.request import Request
from app.open_inference.document import Inference
from app.open_inference.tensors import read_number, read_rows
from app.wire.reply import Reply

Compute = Callable[[ServedModel, Request, Inference], Awaitable[Reply]]
Description = dict[str, Any]

# Densities in the data's units may need the range of float64.
_DENSITIES = frozenset({"elbo", "log_likelihood"})
# /sample takes no array, but some clients send at least one input.
_N: Description = {"name": "n", "datatype": "INT64", "shape": [1]}


@final
class InferenceModel(NamedTuple):
    """
    A native call, asked by this protocol.

    Attributes:
        source: The input to name in the error if a value is not finite.
        by_row: Whether row i of the response comes from row i of the source.
    """

    call: Call
    compute: Compute
    source: str
    by_row: bool = True

    def inputs(self, model: ServedModel) -> list[Description]:
        """Describe the inputs, from the schema of the call's request."""
        fields = self.call.request.model_fields if self.call.request else {}
        return [
            {
                "name": name,
                "datatype": "FP32",
                "shape": [-1, *marker.axis(model.facts)],
            }
            for name, field in fields.items()
            for marker in field.metadata
            if isinstance(marker, InputRows)
        ] or [_N]

    def outputs(self, model: ServedModel) -> list[Description]:
        """Describe the outputs, from the schema of the call's response."""
        return list(self._outputs(model))

    def _outputs(self, model: ServedModel) -> Iterator[Description]:
        fields = self.call.response.model_fields if self.call.response else {}
        for name, field in fields.items():
            marks, facts = field.metadata, model.facts
            if any(isinstance(m, OnlyIf) and not m.condition(facts) for m in marks):
                continue
            axes = [m.axis for m in marks if isinstance(m, Shape | ShapeOrDraws)]
            if not axes and field.annotation not in (Values, Values | None):
                continue  # a parameter of the response, not a tensor
            is_wide = data_shape in axes or name in _DENSITIES
            yield {
                "name": name,
                "datatype": "FP64" if is_wide and model.config.has_units else "FP32",
                "shape": [-1, *(size for axis in axes for size in axis(facts))],
            }


def find(path: str, version: str) -> str:
    """
    Return the name of the model in a path.

    Raises:
        NotFoundError: There is no such model, or no such version of it.
    """
    _, _, _, name, *rest = path.split("/")
    if name not in MODELS:
        raise NotFoundError(f"expected a model of {', '.join(MODELS)}")
    if rest[:1] == ["versions"] and rest[1] != version:
        raise NotFoundError(f"expected version {version}, which is served now")
    return name


async def _encode(model: ServedModel, request: Request, asked: Inference) -> Reply:
    asked.document.options(EncodeOptions, request.query_string)
    return await encoded(model, await read_rows(asked, model.reader.x))


async def _decode(model: ServedModel, request: Request, asked: Inference) -> Reply:
    options = asked.document.options(DecodeOptions, request.query_string)
    z = await read_rows(asked, model.reader.z)
    return await decoded(model, request, z, options)


async def _sample(model: ServedModel, request: Request, asked: Inference) -> Reply:
    inputs = {"n": read_number(asked, "n")} if asked.document.inputs else {}
    options = asked.document.options(SampleOptions, request.query_string, **inputs)
    return await sampled(model, request, options)


async def _elbo(model: ServedModel, request: Request, asked: Inference) -> Reply:
    options = asked.document.options(ElboOptions, request.query_string)
    return await estimated(model, await read_rows(asked, model.reader.x), options)


async def _reconstruct(model: ServedModel, request: Request, asked: Inference) -> Reply:
    options = asked.document.options(ReconstructOptions, request.query_string)
    x = await read_rows(asked, model.reader.x)
    return await reconstructed(model, request, x, options)


MODELS = {
    f"vae-{one.call.id}": one
    for one in (
        InferenceModel(encode, _encode, "x"),
        InferenceModel(decode, _decode, "z"),
        InferenceModel(sample, _sample, "temperature", by_row=False),
        InferenceModel(elbo, _elbo, "x"),
        InferenceModel(reconstruct, _reconstruct, "x"),
    )
}
