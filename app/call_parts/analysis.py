"""What all analyses share: read a request, check its size, compute, and respond."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, final

from pydantic import Field

from app.call_parts.fields import BinarizeUsed, First, SeedOption, SeedUsed
from app.call_parts.row_output import RowOutput
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import Shape, data_shape, levels_shape
from app.errors import ContentTooLargeError, Fault, UnprocessableError
from app.http.reader import seed_or_random
from app.http.request import Request
from app.http.response import Response
from app.http.schema import StrictObject, TableInput
from app.http.writer import respond
from app.wire.layout import Array, Rows
from app.wire.masked import Masked
from app.wire.negotiation import Format
from app.wire.reply import Reply, Scalar, TableColumns
from model.engine.analyses import NotFiniteError
from model.engine.support import OutsideSupportError
from model.inference import analyses
from model.inference.columns import Columns, columns_by_name, missing_columns
from model.option_values import Binarize
from model.tables.parameters import level_names


class AnalysisOptions(TableInput):
    """The options of every analysis."""

    seed: SeedOption = None
    binarize: Annotated[
        Binarize | None, Field(description="As in `/elbo`, for gray x.")
    ] = None
    first: First = 0


class AnalysisResponse(StrictObject):
    """The last members of every analysis response."""

    seed: SeedUsed
    binarize: BinarizeUsed
    units: Annotated[
        Literal["nats"], Field(description="The unit of all log probabilities.")
    ]


Options = TypeVar("Options", bound=AnalysisOptions)


@final
class ResponseArrays(NamedTuple):
    """
    The arrays of a response, as its schema describes them.

    Attributes:
        data: Rows of data.
        per_column: A number for each value of a row of data.
        per_level: A number for each category of a table without an order.
        nullable: Those whose numbers may be null.
    """

    data: tuple[str, ...]
    per_column: tuple[str, ...]
    per_level: tuple[str, ...]
    nullable: tuple[str, ...]


@cache
def arrays_of(response: type[AnalysisResponse]) -> ResponseArrays:
    """Return the arrays of a response."""
    fields = response.model_fields
    shapes = [
        (name, marker)
        for name, field in fields.items()
        for marker in field.metadata
        if isinstance(marker, Shape)
    ]
    of_data = [(name, shape) for name, shape in shapes if shape.axis is data_shape]
    lists = [name for name, f in fields.items() if f.annotation == list[float | None]]
    return ResponseArrays(
        data=tuple(name for name, shape in of_data if shape.has_cells),
        per_column=tuple(name for name, shape in of_data if not shape.has_cells),
        per_level=tuple(name for name, shape in shapes if shape.axis is levels_shape),
        nullable=(*lists, *(name for name, shape in shapes if shape.may_be_null)),
    )


@final
class AnalysisInputs(NamedTuple, Generic[Options]):
    """The data, options and seed of a request."""

    x: Rows
    options: Options
    seed: int


async def read(
    model: ServedModel, request: Request, schema: type[Options]
) -> AnalysisInputs[Options]:
    """Read a request, and check what all analyses have in common."""
    x, options = await model.reader.read(request, model.reader.analyzed, schema)
    model.reader.check_binarize(options.binarize)
    return AnalysisInputs(x, options, seed_or_random(options.seed))


async def read_masked(
    model: ServedModel, request: Request, schema: type[Options]
) -> tuple[AnalysisInputs[Options], Masked]:
    """Read a request that also has a mask of the known values of x."""
    masked, options = await model.reader.read_masked(request, schema)
    model.reader.check_binarize(options.binarize)
    return AnalysisInputs(masked.x, options, seed_or_random(options.seed)), masked


async def analyze(
    model: ServedModel,
    inputs: AnalysisInputs[Any],
    format_: Format,
    compute: Callable[[Array, slice], Columns],
    *,
    response: type[AnalysisResponse],
    draws: int,
    scalars: Mapping[str, Scalar] | None = None,
) -> Response:
    """
    Check that the work is within the limits, compute, and respond with the columns.

    Args:
        compute: Returns the columns for a slice of the rows of x.
        response: The schema of the response.
        draws: The most draws of z for a row.
        scalars: Further members of the response, before seed, binarize and units.
    """
    columns = await _compute(model, inputs, compute, draws)
    arrays, shape = arrays_of(response), model.config.data_shape
    has_data_shape = {*arrays.data, *arrays.per_column}
    tensors = {
        name: values.reshape(*values.shape[:-1], *shape)
        if name in has_data_shape
        else values
        for name, values in columns_by_name(columns).items()
        if values.size  # of no categories there are no probabilities
    }
    ending = {
        **dict.fromkeys(missing_columns(columns)),
        **(scalars or {}),
        "seed": inputs.seed,
        "binarize": inputs.options.binarize,
        "units": "nats",
    }
    options = inputs.options
    orient = options.orient if isinstance(options, RowOutput) else "arrays"
    names = model.named(*arrays.data, numbers=arrays.per_column)
    if (table := model.config.table) is not None:
        names |= dict.fromkeys(arrays.per_level, TableColumns(level_names(table)))
    reply = Reply(tensors, ending, arrays.nullable, names, orient)
    return await respond(reply, format_, source="x")


async def _compute(
    model: ServedModel,
    inputs: AnalysisInputs[Any],
    compute: Callable[[Array, slice], Columns],
    draws: int,
) -> Columns:
    n_rows, limit = len(inputs.x.values), model.settings.max_analysis_work
    per_row = analyses.n_values_decoded(model.config, draws)
    if n_rows * per_row > limit:
        raise ContentTooLargeError(
            f"this request needs {n_rows * per_row} values ({n_rows} rows of up to "
            f"{draws} draws); the limit is {limit} (VAE_MAX_ANALYSIS_WORK)"
        )
    try:
        x = await model.compute.to_support(
            inputs.x.values,
            seed=inputs.seed,
            binarize=inputs.options.binarize,
            first=inputs.options.first,
        )
        return await model.analysis_threads.run(
            lambda rows: compute(x, rows),
            analyses.slices(n_rows, values_per_row=per_row),
        )
    except OutsideSupportError as error:
        raise model.reader.outside_support_error(error, inputs.x) from error
    except NotFiniteError as error:
        what = f"the model's densities of row {error.row} are not finite; too large?"
        raise UnprocessableError(Fault(f"/x/{error.row}", what)) from error
