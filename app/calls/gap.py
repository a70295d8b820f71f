"""POST /gap: the gap log p(x) - ELBO, in two parts."""

from typing import Annotated

from pydantic import Field

from app.call_parts.analysis import AnalysisOptions, analyze, read
from app.call_parts.call import post
from app.call_parts.evidence import (
    DEFAULT_BUDGET,
    DEFAULT_TARGET,
    STANDARD_ERROR,
    Budget,
    EvidenceResponse,
    Target,
    budget_of,
    max_draws,
)
from app.call_parts.examples import SEED, Bodies, ExampleValues, with_x
from app.call_parts.fields import Flags, Numbers, Values
from app.call_parts.formats import BY_ROW, DATA
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import AtMost, InputRows, data_shape, max_analyzed_rows
from app.http.request import Request
from app.http.response import Response
from app.wire.negotiation import Format
from model.inference import analyses


class GapOptions(AnalysisOptions):
    """The options of `/gap`."""

    target: Target = DEFAULT_TARGET
    budget: Annotated[
        Budget | None,
        Field(description=f"The most draws per row; {DEFAULT_BUDGET} if left out."),
        AtMost(max_draws),
    ] = None


class GapRequest(GapOptions):
    """Data in the likelihood's support, and how to estimate."""

    x: Annotated[Numbers, InputRows(data_shape, max_analyzed_rows)]


class GapResponse(EvidenceResponse):
    """log p(x) - ELBO of each row and its two parts, in nats."""

    elbo_before: Annotated[Values, Field(description="With the encoder's q, [N].")]
    elbo_before_standard_error: Annotated[Values, Field(description=STANDARD_ERROR)]
    elbo_after: Annotated[Values, Field(description="With the refined q, [N].")]
    elbo_after_standard_error: Annotated[Values, Field(description=STANDARD_ERROR)]
    approximation_gap: Annotated[
        Values,
        Field(description="log_p_x - elbo_after: due to the family of q, [N]."),
    ]
    approximation_gap_standard_error: Annotated[
        Values, Field(description=STANDARD_ERROR)
    ]
    amortization_gap: Annotated[
        Values,
        Field(description="elbo_after - elbo_before: due to sharing φ, [N]."),
    ]
    amortization_gap_standard_error: Annotated[
        Values, Field(description=STANDARD_ERROR)
    ]
    total_gap: Annotated[
        Values, Field(description="Their sum, KL(q(z|x) || p(z|x)), [N].")
    ]
    total_gap_standard_error: Annotated[Values, Field(description=STANDARD_ERROR)]
    converged: Annotated[
        Flags, Field(description="Whether the search for q converged, [N].")
    ]


def _examples(values: ExampleValues) -> Bodies:
    return with_x(values, target=0.05, seed=SEED)


@post(
    "/gap",
    summary="The gap log p(x) - ELBO, in two parts",
    request=GapRequest,
    options=GapOptions,
    response=GapResponse,
    reads=DATA,
    writes=BY_ROW,
    room="analyses",
    tag="analyses",
    examples=_examples,
)
async def gap(model: ServedModel, request: Request, format_: Format) -> Response:
    """
    Return the gap log p(x) - ELBO of each row, split into two parts.

    A VAE approximates the posterior p(z|x) in two ways. It uses a Gaussian with
    independent dimensions, which may not fit: the approximation gap. And it uses one
    network to predict the mean and variance for every x instead of optimizing them for
    each: the amortization gap (Cremer et al. 2018). A large amortization gap calls for
    a better encoder or longer training; a large approximation gap for another family of
    q. All values are in nats, with standard errors. They depend on the estimate of
    log p(x), which can be trusted if `is_reliable` is true.
    """
    inputs = await read(model, request, GapOptions)
    options = inputs.options
    budget = budget_of(options.budget, model.settings)
    return await analyze(
        model,
        inputs,
        format_,
        lambda x, rows: model.analyst.gaps(
            x,
            rows,
            target=options.target,
            budget=budget,
            seed=inputs.seed,
            first=options.first,
        ),
        response=GapResponse,
        draws=budget + analyses.n_draws_to_refine(model.config),
    )
