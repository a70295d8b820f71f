"""POST /traverse: the effect of each latent dimension."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from app.call_parts.call import post
from app.call_parts.examples import Bodies, ExampleValues, with_x
from app.call_parts.fields import Numbers
from app.call_parts.formats import ALL_ARRAYS, NAMED_ARRAYS
from app.call_parts.latent_path import DEFAULT_POINTS, check_points, read
from app.call_parts.row_output import RowOutput, check_orient
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import InputRows, Shape, data_shape, latent_shape, max_rows
from app.errors import Fault, UnprocessableError, number
from app.http.request import Request
from app.http.response import Response
from app.http.schema import StrictObject, TableInput
from app.http.writer import respond
from app.wire.negotiation import Format
from app.wire.reply import Reply
from model.engine.paths import Quantiles, aggregate_quantiles, paths_along

Scale = Literal["prior", "aggregate"]


Dims = Annotated[
    list[Annotated[int, Field(ge=0)]],
    Field(json_schema_extra={"minItems": 1}),
]


class TraverseOptions(RowOutput, TableInput):
    """The options of `/traverse`."""

    comma_separated = frozenset({"dims"})

    dims: Annotated[
        Dims | None,
        Field(
            description="Latent dimensions to vary, the first is 0; all by default. In "
            "the query: `dims=0,3`."
        ),
    ] = None
    n: Annotated[
        int,
        Field(
            ge=1,
            description="Values per dimension: quantiles at (i + 1/2) / n.",
        ),
    ] = DEFAULT_POINTS
    scale: Annotated[
        Scale,
        Field(
            description="Whether to use quantiles of the `prior`, or of the "
            "`aggregate` posterior: the average of q(z|x) over held-out rows, if the "
            "checkpoint has it."
        ),
    ] = "prior"


class TraverseRequest(TraverseOptions):
    """One row of data, or one latent."""

    exactly_one_of = ("x", "z")

    x: Annotated[Numbers, InputRows(data_shape, exactly=1)]
    z: Annotated[Numbers, InputRows(latent_shape, exactly=1)]


class TraverseResponse(StrictObject):
    """Decoded points that differ in one latent dimension at a time."""

    z: Annotated[
        list[Numbers],
        Field(description="The points, [len(dims), n, J]."),
        Shape(max_rows, latent_shape, stacked=True),
    ]
    mean: Annotated[
        list[Numbers],
        Field(description="E[x|z] at each point, [len(dims), n, *data_shape]."),
        Shape(max_rows, data_shape, stacked=True),
    ]
    dims: Annotated[list[int], Field(description="The dimensions, as requested.")]
    levels: Annotated[
        list[float],
        Field(description="The probabilities of the quantiles, [n]."),
    ]
    scale: Annotated[Scale, Field(description="The scale, as requested.")]


def _examples(values: ExampleValues) -> Bodies:
    return with_x(values, n=5)


@post(
    "/traverse",
    summary="The effect of each latent dimension",
    request=TraverseRequest,
    options=TraverseOptions,
    response=TraverseResponse,
    reads=NAMED_ARRAYS,
    writes=ALL_ARRAYS,
    examples=_examples,
)
async def traverse(model: ServedModel, request: Request, format_: Format) -> Response:
    """
    Return the effect of each latent dimension: one varies, the others are fixed.

    Starting from the latent `z`, or from the mean of q(z|x) of one row of `x`, each
    dimension takes n values: quantiles at equal steps of probability, so that most
    values are where most of the mass is. They are quantiles of the prior p(z_j), or,
    with `scale: "aggregate"`, of the encoded held-out data. A dimension that changes
    nothing in the output carries no information.
    """
    base, options = await read(model, request, TraverseOptions, n_rows=1)
    check_orient(model, options, format_)
    j = model.config.latent_dim
    dims = list(range(j)) if options.dims is None else options.dims
    _check_dims(dims, latent_dim=j)
    check_points(model, request, len(dims) * options.n)
    levels = (np.arange(options.n) + 0.5) / options.n
    quantiles = await _quantiles(model, dims, levels, options.scale)
    z = await asyncio.to_thread(paths_along, base.z[0], dims, quantiles)
    mean = (await model.compute.decode(z.reshape(-1, j))).mean
    mean = mean.reshape(*z.shape[:2], *model.config.data_shape)
    tensors = {"z": z, "mean": mean, "dims": np.array(dims), "levels": levels}
    names = model.named("mean")
    reply = Reply(
        tensors, {"scale": options.scale}, columns=names, orient=options.orient
    )
    return await respond(reply, format_, source=base.name, by_row=False)


def _check_dims(dims: Sequence[int], *, latent_dim: int) -> None:
    """Check that there are dimensions to vary, and that the model has them."""
    if not dims:
        raise UnprocessableError(Fault("/dims", "expected dimensions, got none"))
    for i, dim in enumerate(dims):
        if dim >= latent_dim:
            what = f"expected 0 to {latent_dim - 1}, got {number(dim)}"
            raise UnprocessableError(Fault(f"/dims/{i}", what))


async def _quantiles(
    model: ServedModel, dims: Sequence[int], levels: Quantiles, scale: Scale
) -> Quantiles:
    """Return the quantiles of these dimensions at these levels, (len(dims), n)."""
    if scale == "prior":
        return await model.compute.prior_quantiles(dims, levels)
    calibration = model.checkpoint.calibration
    aggregate = None if calibration is None else calibration.aggregate
    if aggregate is None:
        what = (
            "expected prior: this checkpoint has no quantiles of the aggregate "
            "posterior; training writes them"
        )
        raise UnprocessableError(Fault("/scale", what))
    try:
        found = await asyncio.to_thread(aggregate_quantiles, levels, aggregate)
    except ValueError as error:
        what = f"expected fewer points: {error}, the levels in the checkpoint"
        raise UnprocessableError(Fault("/n", what)) from error
    return found[dims]
