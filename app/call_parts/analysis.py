"""What all analyses share: read a request, check its size, compute, and respond."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, final

from pydantic import Field

from app.call_parts.fields import BinarizeUsed, First, SeedOption, SeedUsed
from app.call_parts.row_output import RowOutput
from app.call_parts.served_model import ServedModel
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
from model.inference.columns import Columns, missing, named
from model.option_values import Binarize
from model.tables.parameters import level_names

_DATA = frozenset({"mean", "samples", "interval_low", "interval_high"})
_OF_LEVELS = ("probabilities", "probabilities_standard_error")
_NULLABLE = frozenset(
    {
        *("pareto_k", "r_hat"),
        *("tail_p_value_per_column", "blame", "blame_standard_error"),
        *("interval_low", "interval_high", "interval_probability"),
        "interval_probability_standard_error",
    }
)


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
    draws: int,
    scalars: Mapping[str, Scalar] | None = None,
    shaped: tuple[str, ...] = (),
) -> Response:
    """
    Check that the work is within the limits, compute, and respond with the columns.

    Args:
        compute: Returns the columns for a slice of the rows of x.
        draws: The most draws of z for a row.
        scalars: Further members of the response, before seed, binarize and units.
        shaped: The columns to return in the shape of the data.
    """
    columns = await _compute(model, inputs, compute, draws)
    shape = model.config.data_shape
    tensors = {
        name: values.reshape(*values.shape[:-1], *shape) if name in shaped else values
        for name, values in named(columns).items()
        if values.size  # of no categories there are no probabilities
    }
    ending = {
        **dict.fromkeys(missing(columns)),
        **(scalars or {}),
        "seed": inputs.seed,
        "binarize": inputs.options.binarize,
        "units": "nats",
    }
    options = inputs.options
    orient = options.orient if isinstance(options, RowOutput) else "arrays"
    data = [name for name in shaped if name in _DATA]
    names = model.named(*data, numbers=set(shaped).difference(data))
    if (table := model.config.table) is not None:
        names |= dict.fromkeys(_OF_LEVELS, TableColumns(level_names(table)))
    reply = Reply(tensors, ending, _NULLABLE, names, orient)
    return await respond(reply, format_, source="x")


async def _compute(
    model: ServedModel,
    inputs: AnalysisInputs[Any],
    compute: Callable[[Array, slice], Columns],
    draws: int,
) -> Columns:
    n_rows, limit = len(inputs.x.values), model.settings.max_analysis_work
    per_row = analyses.values_decoded(model.config, draws)
    if n_rows * per_row > limit:
        raise ContentTooLargeError(
            f"this request needs {n_rows * per_row} values ({n_rows} rows of up to "
            f"{draws} draws); the limit is {limit} (VAE_MAX_ANALYSIS_WORK)"
        )
    try:
        x = await model.compute.supported(
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
        raise model.reader.outside(error, inputs.x) from error
    except NotFiniteError as error:
        what = f"the model's densities of row {error.row} are not finite; too large?"
        raise UnprocessableError(Fault(f"/x/{error.row}", what)) from error
