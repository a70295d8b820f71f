"""What all analyses do: read a request, check its size, compute, write the response."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, final

from pydantic import Field

from app.call_parts.fields import BinarizeUsed, First, SeedOption, SeedUsed
from app.call_parts.served_model import ServedModel
from app.compute.operations import Binarize, OutsideSupportError
from app.errors import ContentTooLargeError, Fault, UnprocessableError
from app.http.exchange import Request, Response
from app.http.reader import seed_of
from app.http.schema import StrictObject
from app.http.writer import respond
from app.wire.layout import Array, Mask, Rows
from app.wire.negotiation import Format
from app.wire.reply import Reply
from model.engine.analyses import NotFiniteError
from model.inference import analyses
from model.inference.columns import Columns, missing, named

_NULLABLE = frozenset({"pareto_k", "r_hat"})


class AnalysisOptions(StrictObject):
    """The options of every analysis."""

    seed: SeedOption = None
    binarize: Annotated[
        Binarize | None, Field(description="As in `/elbo`, for gray x.")
    ] = None
    first: First = 0


class AnalysisResponse(StrictObject):
    """What the response to every analysis ends with."""

    seed: SeedUsed
    binarize: BinarizeUsed
    units: Literal["nats"]


Options = TypeVar("Options", bound=AnalysisOptions)


@final
class AnalysisInput(NamedTuple, Generic[Options]):
    """A request as it was read, nothing of it computed yet."""

    x: Rows
    options: Options
    seed: int


async def read(
    model: ServedModel, request: Request, schema: type[Options]
) -> AnalysisInput[Options]:
    """Read a request and check what does not depend on the analysis."""
    x, options = await model.reader.read(request, model.reader.analyzed, schema)
    model.reader.check_binarize(options.binarize)
    return AnalysisInput(x, options, seed_of(options.seed))


async def read_masked(
    model: ServedModel, request: Request, schema: type[Options]
) -> tuple[AnalysisInput[Options], Mask]:
    """Read a request that says of each value of x whether it is known."""
    (x, observed), options = await model.reader.read_masked(request, schema)
    model.reader.check_binarize(options.binarize)
    return AnalysisInput(x, options, seed_of(options.seed)), observed


async def analyze(
    model: ServedModel,
    asked: AnalysisInput[Any],
    format_: Format,
    compute: Callable[[Array, slice], Columns],
    *,
    draws: int,
    scalars: Mapping[str, int | str | None] | None = None,
    shaped: tuple[str, ...] = (),
) -> Response:
    """
    Check that the work is allowed, do it, and answer with its columns.

    Args:
        compute: Returns the columns of a slice of the rows of x.
        draws: The most draws of z that a row takes.
        scalars: What the response says besides seed, binarize and units.
        shaped: Columns that have the shape of data.
    """
    columns = await _computed(model, asked, compute, draws)
    shape = model.config.data_shape
    tensors = {
        name: values.reshape(*values.shape[:-1], *shape) if name in shaped else values
        for name, values in named(columns).items()
    }
    ending = {
        **dict.fromkeys(missing(columns)),
        **(scalars or {}),
        "seed": asked.seed,
        "binarize": asked.options.binarize,
        "units": "nats",
    }
    return await respond(Reply(tensors, ending, _NULLABLE), format_, source="x")


async def _computed(
    model: ServedModel,
    asked: AnalysisInput[Any],
    compute: Callable[[Array, slice], Columns],
    draws: int,
) -> Columns:
    n_rows, limit = len(asked.x.values), model.settings.max_analysis_work
    per_row = analyses.values_decoded(model.config, draws)
    if n_rows * per_row > limit:
        raise ContentTooLargeError(
            f"this request needs {n_rows * per_row} values ({n_rows} rows of up to "
            f"{draws} draws); the limit is {limit} (VAE_MAX_ANALYSIS_WORK)"
        )
    try:
        x = await model.compute.supported(
            asked.x.values,
            seed=asked.seed,
            binarize=asked.options.binarize,
            first=asked.options.first,
        )
        return await model.analysis_thread.run(
            lambda rows: compute(x, rows),
            analyses.slices(n_rows, values_per_row=per_row),
        )
    except OutsideSupportError as error:
        raise model.reader.outside(error, asked.x) from error
    except NotFiniteError as error:
        what = f"the model's densities of row {error.row} are not finite; too large?"
        raise UnprocessableError(Fault(f"/x/{error.row}", what)) from error
