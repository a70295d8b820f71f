"""POST /decode: z to the parameters of p(x|z)."""

from typing import Annotated

from pydantic import Field

from app.call_parts.call import When, post
from app.call_parts.examples import Bodies, ExampleValues, example
from app.call_parts.fields import Numbers
from app.call_parts.formats import ONE_ARRAY, PICTURE, TABLE
from app.call_parts.row_output import RowOutput, check_orient
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import (
    InputRows,
    OnlyIf,
    OnRequest,
    Shape,
    data_shape,
    has_cells,
    has_gaps,
    has_levels,
    has_log_var,
    has_one_parameter,
    latent_shape,
    levels_shape,
    max_decoded_rows,
    max_rows,
)
from app.errors import Fault, UnprocessableError
from app.http.request import Request
from app.http.response import Response
from app.http.schema import ImageOutput, StrictObject
from app.http.writer import respond
from app.wire.layout import Rows
from app.wire.negotiation import JSON, NPY, SAFETENSORS, Format
from app.wire.reply import Reply, TableColumns
from model.config import LikelihoodName
from model.tables.parameters import level_names, n_distribution_values


class DecodeOptions(ImageOutput, RowOutput):
    """The options of `/decode`: those of the response."""

    parameters: Annotated[
        bool,
        Field(
            description="For a table of mixed kinds: whether to return `variance`, "
            "`quantiles`, `probabilities` and `missing` of every cell too."
        ),
        OnlyIf(has_cells),
    ] = False


class DecodeRequest(DecodeOptions):
    """Latents to decode."""

    z: Annotated[Numbers, InputRows(latent_shape, max_decoded_rows)]


class DecodeResponse(StrictObject):
    """The parameters of p(x|z)."""

    mean: Annotated[
        Numbers,
        Field(description="E[x|z], [N, *data_shape]."),
        Shape(max_rows, data_shape),
    ]
    log_var: Annotated[
        Numbers,
        Field(
            default_factory=list,
            description="log sigma^2 of x given z, if the likelihood has a variance.",
        ),
        Shape(max_rows, data_shape),
        OnlyIf(has_log_var),
    ]
    variance: Annotated[
        Numbers,
        Field(
            default_factory=list,
            description="With `parameters`: Var[x|z] of a number, in ranks of ordered "
            "categories; for other categories, the probability that x is not `mean`.",
        ),
        OnlyIf(has_cells),
        OnRequest(),
        Shape(max_rows, data_shape, has_cells=False),
    ]
    quantiles: Annotated[
        list[Numbers],
        Field(
            default_factory=list,
            description="With `parameters`: quantiles of x given z at 5, 25, 50, 75 "
            "and 95 percent, [N, 5, C]; null for categories without an order.",
        ),
        OnlyIf(has_cells),
        OnRequest(),
        Shape(max_rows, data_shape, stacked=True, may_be_null=True),
    ]
    probabilities: Annotated[
        Numbers,
        Field(
            default_factory=list,
            description="With `parameters`: the probability of each category that has "
            "no order, column after column, as `column=category`.",
        ),
        OnlyIf(has_levels),
        OnRequest(),
        Shape(max_rows, levels_shape),
    ]
    missing: Annotated[
        Numbers,
        Field(
            default_factory=list,
            description="With `parameters`: the probability that the cell is missing "
            "in a draw.",
        ),
        OnlyIf(has_gaps),
        OnRequest(),
        Shape(max_rows, data_shape, has_cells=False),
    ]
    likelihood: Annotated[LikelihoodName, Field(description="The family of p(x|z).")]


def _examples(values: ExampleValues) -> Bodies:
    return example({"z": values.z})


@post(
    "/decode",
    summary="z to p(x|z)",
    request=DecodeRequest,
    options=DecodeOptions,
    response=DecodeResponse,
    reads=ONE_ARRAY,
    writes=(JSON, SAFETENSORS, When(has_one_parameter, NPY), *TABLE, PICTURE),
    examples=_examples,
)
async def decode(model: ServedModel, request: Request, format_: Format) -> Response:
    """Return the parameters of p(x|z) for each row of z."""
    z, options = await model.reader.read(request, model.reader.z, DecodeOptions)
    check_orient(model, options, format_)
    picture = model.reader.picture(len(z.values), options, format_)
    if options.parameters:
        reply = await _with_parameters(model, request, z, options, format_)
    else:
        reply = await decode_rows(model, request, z, options)
    return await respond(reply, format_, source="z", picture=picture)


async def decode_rows(
    model: ServedModel, request: Request, z: Rows, options: DecodeOptions
) -> Reply:
    """Return the parameters of p(x|z) as named arrays, within the limits."""
    model.reserve_output(request, len(z.values))
    decoding = await model.compute.decode(z.values)
    tensors = {"mean": model.in_data_shape(decoding.mean)}
    if decoding.log_var is not None:
        tensors["log_var"] = model.in_data_shape(decoding.log_var)
    scalars = {"likelihood": model.config.likelihood.kind}
    names = model.named("mean", numbers=("log_var",))
    return Reply(tensors, scalars, columns=names, orient=options.orient)


async def _with_parameters(
    model: ServedModel,
    request: Request,
    z: Rows,
    options: DecodeOptions,
    format_: Format,
) -> Reply:
    """Return the distributions of a table's cells as named arrays."""
    table = model.config.table
    if table is None:
        what = "only for a table of mixed kinds; of other models it is in the response"
        raise UnprocessableError(Fault("/parameters", what))
    if format_ is NPY:
        what = "only for a response with several arrays, by Accept: not in x-npy"
        raise UnprocessableError(Fault("/parameters", what))
    n_values = n_distribution_values(table)
    n_values += len(table.columns) if model.config.missing else 0
    model.reserve_output(request, len(z.values), n_values)
    cells = await model.compute.cells(z.values)
    tensors = {name: one for name, one in cells._asdict().items() if one.size}
    levels = {"probabilities": TableColumns(level_names(table))}
    return Reply(
        tensors,
        {"likelihood": model.config.likelihood.kind},
        nullable=("quantiles",),
        columns=model.named("mean", "quantiles", numbers=("variance", "missing"))
        | levels,
        orient=options.orient,
    )
