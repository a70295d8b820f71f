"""POST /impute: the missing values of x, given the known ones."""

from typing import Annotated

from pydantic import Field

from app.call_parts.analysis import (
    AnalysisOptions,
    AnalysisResponse,
    analyze,
    read_masked,
)
from app.call_parts.call import post
from app.call_parts.evidence import STANDARD_ERROR, max_draws
from app.call_parts.examples import BY_NAME, SEED, Bodies, ExampleValues, with_x
from app.call_parts.fields import Flags, Numbers, Values
from app.call_parts.formats import BY_ROW, NAMED_ARRAYS, TABLE
from app.call_parts.row_output import RowOutput, check_orient
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import (
    AtMost,
    InputRows,
    OnlyIf,
    OptionalIf,
    Shape,
    data_shape,
    has_cells,
    has_columns,
    has_levels,
    levels_shape,
    max_analyzed_rows,
    max_rows,
)
from app.errors import Fault, UnprocessableError, number
from app.http.request import Request
from app.http.response import Response
from app.wire.negotiation import Format
from model.inference import analyses
from model.inference.analyses import DEFAULT_LEVEL
from model.tables.parameters import level_names

DEFAULT_DRAWS = 1024


class ImputeOptions(AnalysisOptions, RowOutput):
    """The options of `/impute`."""

    n_samples: Annotated[
        int,
        Field(ge=1, description="S, draws of the whole x per row."),
        AtMost(max_draws),
    ] = 1
    n_draws: Annotated[
        int | None,
        Field(
            ge=1,
            description="K, draws of z per row from which all results are computed, "
            f"rounded up to a multiple of 64; {DEFAULT_DRAWS} by default.",
        ),
        AtMost(max_draws),
    ] = None
    level: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="Of a table of mixed kinds: the probability of the intervals, "
            f"{DEFAULT_LEVEL} by default.",
        ),
        OnlyIf(has_cells),
    ] = None


class ImputeRequest(ImputeOptions):
    """Data, in the likelihood's support where they are known, with their mask."""

    x: Annotated[Numbers, InputRows(data_shape, max_analyzed_rows, has_gaps=True)]
    mask: Annotated[
        Numbers,
        Field(
            description="1 where x is known, 0 where it is missing; values of x there "
            "are ignored. Rows by name need none: null in x, and an empty cell in CSV, "
            "is missing."
        ),
        OptionalIf(has_columns),
        InputRows(data_shape, max_analyzed_rows, has_codes=False),
    ]


class ImputeResponse(AnalysisResponse):
    """The distribution of the missing values, given the known ones."""

    mean: Annotated[
        Numbers,
        Field(
            description="E[x | x_o]; of ordered categories the one nearest to the mean "
            "rank, of others the most probable; x itself where known, [N, *data_shape]."
        ),
        Shape(max_rows, data_shape),
    ]
    mean_standard_error: Annotated[
        Numbers,
        Field(description="Of the mean; 0 where known, [N, *data_shape]."),
        Shape(max_rows, data_shape, has_cells=False),
    ]
    variance: Annotated[
        Numbers,
        Field(description="Var[x | x_o]; 0 where known, [N, *data_shape]."),
        Shape(max_rows, data_shape, has_cells=False),
    ]
    variance_standard_error: Annotated[
        Numbers,
        Field(description="Of the variance; 0 where known, [N, *data_shape]."),
        Shape(max_rows, data_shape, has_cells=False),
    ]
    samples: Annotated[
        list[Numbers],
        Field(description="Draws of x given x_o, [N, S, *data_shape]."),
        Shape(max_rows, data_shape, stacked=True),
    ]
    interval_low: Annotated[
        Numbers,
        Field(
            description="The lower end of the interval of a missing number or ordered "
            "category, at the quantile (1 - level) / 2 of p(x_j | x_o); x itself where "
            "known, null for other categories, [N, *data_shape]."
        ),
        Shape(max_rows, data_shape, may_be_null=True),
        OnlyIf(has_cells),
    ]
    interval_high: Annotated[
        Numbers,
        Field(description="The upper end, at the quantile (1 + level) / 2."),
        Shape(max_rows, data_shape, may_be_null=True),
        OnlyIf(has_cells),
    ]
    interval_probability: Annotated[
        Numbers,
        Field(
            description="The probability that the cell lies in the interval, ends "
            "included: the level, or more where values repeat; null where there is no "
            "interval, and where x is known."
        ),
        Shape(max_rows, data_shape, has_cells=False, may_be_null=True),
        OnlyIf(has_cells),
    ]
    interval_probability_standard_error: Annotated[
        Numbers,
        Field(description="Of that probability, by the draws of z; null like it."),
        Shape(max_rows, data_shape, has_cells=False, may_be_null=True),
        OnlyIf(has_cells),
    ]
    probabilities: Annotated[
        Numbers,
        Field(
            description="The probability of each category that has no order, column "
            "after column, as `column=category`; 1 or 0 where known, [N, L]."
        ),
        Shape(max_rows, levels_shape),
        OnlyIf(has_levels),
    ]
    probabilities_standard_error: Annotated[
        Numbers,
        Field(description="Of these probabilities; 0 where known, [N, L]."),
        Shape(max_rows, levels_shape),
        OnlyIf(has_levels),
    ]
    effective_sample_size: Annotated[
        Values,
        Field(
            description="The effective number of the K draws; if low, draw more, [N]."
        ),
    ]
    log_p_observed: Annotated[
        Values,
        Field(
            description="An estimate of log p(x_o) in nats, for the known values only; "
            "a lower bound in expectation, [N]."
        ),
    ]
    log_p_observed_standard_error: Annotated[Values, Field(description=STANDARD_ERROR)]
    is_reliable: Annotated[
        Flags,
        Field(
            description="Whether the estimates of the row and their standard errors "
            "can be trusted, [N]."
        ),
    ]
    n_draws: Annotated[int, Field(description="K.")]


def _examples(values: ExampleValues) -> Bodies:
    bodies = dict(with_x(values, seed=SEED, mask=values.mask))
    if values.record is not None:
        known = zip(values.record.items(), values.mask[0], strict=True)
        gaps = {name: cell if is_known else None for (name, cell), is_known in known}
        bodies[BY_NAME] = {"x": [gaps], "seed": SEED}
    return bodies


@post(
    "/impute",
    summary="The missing values of x, given the known ones",
    request=ImputeRequest,
    options=ImputeOptions,
    response=ImputeResponse,
    reads=(*NAMED_ARRAYS, *TABLE),
    writes=BY_ROW,
    room="analyses",
    tag="analyses",
    examples=_examples,
)
async def impute(model: ServedModel, request: Request, format_: Format) -> Response:
    """
    Return the distribution of the missing values of each row, given the known ones.

    Some values of x were not measured, or should be replaced. `mask` has the shape of
    x: 1 for known, 0 for missing. The service finds values of z that explain the known
    values, and what these imply for the missing ones. `mean` is the best single guess,
    `variance` its uncertainty, and `samples` are complete rows, each consistent in
    itself, while the mean of several possibilities may look like none of them. The
    estimates use `n_draws` draws of z with importance weights (Mattei & Frellsen 2018),
    and each has its standard error. If `is_reliable` is false, few draws have most of
    the weight: raise `n_draws`. Missing values are ignored: they may be any number, and
    in safetensors also NaN. Rows by the names of columns need no mask: what is null in
    JSON, or empty in CSV, is missing. Of a table of mixed kinds, the mean is averaged
    over the draws of z for a number, and the most probable category otherwise; there
    are intervals of numbers, and the probability of every category.
    """
    inputs, masked = await read_masked(model, request, ImputeOptions)
    check_orient(model, inputs.options, format_)
    options, config = inputs.options, model.config
    n_draws = _draws(options, model.settings.max_draws)
    n_arrays = 4 + options.n_samples  # mean and variance, with errors, and draws
    per_row = n_arrays * config.data_dim
    if config.table is not None:  # intervals and probabilities, with errors
        per_row += 4 * config.data_dim + 2 * len(level_names(config.table))
    elif options.level is not None:
        what = "only for a table of mixed kinds, which has intervals"
        raise UnprocessableError(Fault("/level", what))
    model.check_output(len(inputs.x.values), per_row)
    return await analyze(
        model,
        inputs,
        format_,
        lambda x, rows: model.analyst.impute(
            x,
            masked.observed,
            rows,
            sent=masked.sent,
            n_draws=n_draws,
            n_samples=options.n_samples,
            seed=inputs.seed,
            first=options.first,
            level=options.level or DEFAULT_LEVEL,
        ),
        response=ImputeResponse,
        draws=analyses.n_draws_to_impute(
            config, n_draws=n_draws, n_samples=options.n_samples
        ),
        scalars={"n_draws": n_draws},
    )


def _draws(options: ImputeOptions, limit: int) -> int:
    """Return K, and check it and the number of samples."""
    n_draws = min(DEFAULT_DRAWS, limit) if options.n_draws is None else options.n_draws
    for name, n in (("n_draws", n_draws), ("n_samples", options.n_samples)):
        if n > limit:
            what = f"expected 1 to {limit}, got {number(n)}"
            raise UnprocessableError(Fault(f"/{name}", what))
    return analyses.round_draws(n_draws)
