"""The models of the Open Inference Protocol: the calls that compute on rows."""

from collections.abc import Awaitable, Callable, Iterator
from operator import attrgetter
from typing import Any, NamedTuple, final

from app.call_parts.call import Call
from app.call_parts.fields import Values
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import (
    OnlyIf,
    OnRequest,
    Shape,
    ShapeOrDraws,
    data_shape,
)
from app.calls.decode import DecodeOptions, decode, decode_rows
from app.calls.elbo import elbo, estimate_elbo
from app.calls.encode import encode, encode_rows
from app.calls.reconstruct import reconstruct, reconstruct_rows
from app.calls.sample import sample, sample_rows
from app.errors import Fault, UnprocessableError
from app.http.input import Input
from app.http.reader import check_known
from app.http.request import Request
from app.http.schema import StrictObject
from app.http.writer import check_finite
from app.open_inference.inference import Inference
from app.wire.layout import Rows
from app.wire.reply import Reply

Description = dict[str, Any]

# Densities in the data's units may need the range of float64.
_DENSITIES = frozenset({"elbo", "log_likelihood"})
_N = "n"


@final
class InferenceModel(NamedTuple):
    """
    A native call, asked by this protocol.

    Attributes:
        takes: Returns the array that the call takes; None if it takes a number, n.
        compute: Computes the reply from the rows of that array and the options.
    """

    call: Call
    takes: Callable[[ServedModel], Input] | None
    compute: Callable[[ServedModel, Request, Any, Any], Awaitable[Reply]]

    async def reply(
        self, model: ServedModel, request: Request, asked: Inference
    ) -> Reply:
        """
        Return the reply of the native call to a request of this protocol.

        Raises:
            ProblemError: The call refuses it, or a value of the reply is not finite.
        """
        schema, query = self.call.options or StrictObject, request.query_string
        if self.takes is None:
            inputs = {_N: asked.number(_N)} if asked.document.inputs else {}
            options = asked.document.options(schema, query, **inputs)
            reply = await self.compute(model, request, None, options)
            await check_finite(reply, "temperature", by_row=False)
            return reply
        wanted = self.takes(model)
        options = asked.document.options(schema, query)
        rows = await asked.rows(wanted)
        check_known(rows, options, wanted.layout)
        reply = await self.compute(model, request, rows, options)
        await check_finite(reply, wanted.layout.name, by_row=True)
        return reply

    def inputs(self, model: ServedModel) -> list[Description]:
        """Describe the input; some clients send at least one."""
        if self.takes is None:
            return [{"name": _N, "datatype": "INT64", "shape": [1]}]
        layout = self.takes(model).layout
        shape = [-1, *layout.shape]
        return [{"name": layout.name, "datatype": "FP32", "shape": shape}]

    def outputs(self, model: ServedModel) -> Iterator[Description]:
        """Describe the outputs, from the schema of the call's response."""
        fields = self.call.response.model_fields if self.call.response else {}
        for name, field in fields.items():
            marks, facts = field.metadata, model.facts
            if any(isinstance(m, OnRequest) for m in marks):
                continue
            if any(isinstance(m, OnlyIf) and not m.condition(facts) for m in marks):
                continue
            axes = [m.axis for m in marks if isinstance(m, Shape | ShapeOrDraws)]
            if not axes and field.annotation not in (Values, Values | None):
                continue  # a parameter of the response, not a tensor
            is_wide = data_shape in axes and model.has_wide_data
            is_wide |= name in _DENSITIES and model.config.has_units
            yield {
                "name": name,
                "datatype": "FP64" if is_wide else "FP32",
                "shape": [-1, *(size for axis in axes for size in axis(facts))],
            }


async def _means(
    model: ServedModel, request: Request, z: Rows, options: DecodeOptions
) -> Reply:
    """Decode z; the outputs of a model are always the same ones."""
    if options.parameters:
        what = "expected false: the distributions of cells are at /decode only"
        raise UnprocessableError(Fault("/parameters/parameters", what))
    return await decode_rows(model, request, z, options)


_X, _Z = attrgetter("reader.x"), attrgetter("reader.z")
MODELS = {
    f"vae-{one.call.id}": one
    for one in (
        InferenceModel(encode, _X, lambda model, _, x, __: encode_rows(model, x)),
        InferenceModel(decode, _Z, _means),
        InferenceModel(
            sample, None, lambda model, of, _, how: sample_rows(model, of, how)
        ),
        InferenceModel(elbo, _X, lambda model, _, x, how: estimate_elbo(model, x, how)),
        InferenceModel(reconstruct, _X, reconstruct_rows),
    )
}
