"""POST /impute: what is missing in x, given what is known of it."""

from typing import Annotated

from pydantic import Field

from app.call_parts.analysis import (
    AnalysisOptions,
    AnalysisResponse,
    analyze,
    read_masked,
)
from app.call_parts.call import post
from app.call_parts.evidence import max_draws
from app.call_parts.examples import SEED, Bodies, ExampleValues, with_x
from app.call_parts.fields import Numbers, Values
from app.call_parts.formats import ALL_ARRAYS, NAMED_ARRAYS
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import (
    AtMost,
    InputRows,
    Shape,
    data_shape,
    max_analyzed_rows,
    max_rows,
)
from app.errors import Fault, UnprocessableError, number
from app.http.exchange import Request, Response
from app.wire.negotiation import Format
from model.inference import analyses

DEFAULT_DRAWS = 1000


class ImputeOptions(AnalysisOptions):
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
            description="K, draws of z per row that mean, variance and samples rest "
            f"on; {DEFAULT_DRAWS} if left out.",
        ),
        AtMost(max_draws),
    ] = None


class ImputeRequest(ImputeOptions):
    """Data in the likelihood's support where they are known, and where that is."""

    x: Annotated[Numbers, InputRows(data_shape, max_analyzed_rows)]
    mask: Annotated[
        Numbers,
        Field(
            description="1 where x is known, 0 where it is missing; what x has there "
            "is never read."
        ),
        InputRows(data_shape, max_analyzed_rows),
    ]


class ImputeResponse(AnalysisResponse):
    """What the model says of missing values, given those that are known."""

    mean: Annotated[
        Numbers,
        Field(description="E[x | x_o]; x itself where it is known, [N, *data_shape]."),
        Shape(max_rows, data_shape),
    ]
    variance: Annotated[
        Numbers,
        Field(description="Var[x | x_o]; 0 where x is known, [N, *data_shape]."),
        Shape(max_rows, data_shape),
    ]
    samples: Annotated[
        list[Numbers],
        Field(description="Draws of x given x_o, [N, S, *data_shape]."),
        Shape(max_rows, data_shape, stacked=True),
    ]
    effective_sample_size: Annotated[
        Values,
        Field(
            description="Of the K draws of z, how many count; if few, draw more, [N]."
        ),
    ]
    log_p_observed: Annotated[
        Values,
        Field(
            description="log p(x_o) in nats, of the known values alone; in expectation "
            "at most that, [N]."
        ),
    ]
    n_draws: Annotated[int, Field(description="K.")]


def _examples(values: ExampleValues) -> Bodies:
    return with_x(values, seed=SEED, mask=values.mask)


@post(
    "/impute",
    summary="What is missing in x, given what is known of it",
    request=ImputeRequest,
    options=ImputeOptions,
    response=ImputeResponse,
    reads=NAMED_ARRAYS,
    writes=ALL_ARRAYS,
    room="analyses",
    tag="analyses",
    examples=_examples,
)
async def impute(model: ServedModel, request: Request, format_: Format) -> Response:
    """
    Answer what is missing in each row, given what is known of it.

    Some values of x were not measured, or are to be replaced. `mask` says which
    are known: 1 known, 0 missing; it has the shape of x. The model looks for the z
    that may have made the known values, and for what those z say of the missing
    ones. `mean` is the best single guess, `variance` how far off it may be, and
    `samples` are whole rows that could be true, each consistent in itself, while a
    mean of several possibilities may look like none of them. All of it rests on
    `n_draws` draws of z weighed by importance (Mattei & Frellsen 2018); where
    `effective_sample_size` is small, few of them count, and more should be drawn.
    A value that the mask calls missing is never read: it may be any number, in
    safetensors NaN too.
    """
    asked, observed = await read_masked(model, request, ImputeOptions)
    options, most = asked.options, model.settings.max_draws
    n_samples = options.n_samples
    n_draws = min(DEFAULT_DRAWS, most) if options.n_draws is None else options.n_draws
    for name, n in (("n_draws", n_draws), ("n_samples", n_samples)):
        if n > most:
            what = f"expected 1 to {most}, got {number(n)}"
            raise UnprocessableError(Fault(f"/{name}", what))
    config = model.config
    model.check_output(len(asked.x.values), (2 + n_samples) * config.data_dim)
    return await analyze(
        model,
        asked,
        format_,
        lambda x, rows: model.analyst.imputed(
            x,
            observed,
            rows,
            n_draws=n_draws,
            n_samples=n_samples,
            seed=asked.seed,
            first=options.first,
        ),
        draws=analyses.draws_imputing(config, n_draws=n_draws, n_samples=n_samples),
        scalars={"n_draws": n_draws},
        shaped=("mean", "variance", "samples"),
    )
