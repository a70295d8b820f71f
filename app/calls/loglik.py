"""POST /loglik: an estimate of log p(x), with its uncertainty."""

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
from app.errors import Fault, UnprocessableError, number
from app.http.request import Request
from app.http.response import Response
from app.settings import Settings
from app.wire.negotiation import Format
from model.inference import analyses
from model.inference.bounds import max_samples
from model.inference.effort import Effort


class LoglikOptions(AnalysisOptions):
    """The options of `/loglik`: `n_samples`, or `target` and `budget`."""

    n_samples: Annotated[
        int | None,
        Field(
            ge=1,
            description="K: return the bound L_K with K draws from the encoder's "
            "q(z|x) (Burda et al. 2016) instead of an estimate of log p(x).",
        ),
        AtMost(lambda facts: max_samples(facts.limits.max_draws)),
    ] = None
    target: Annotated[
        Target | None,
        Field(
            description="Without n_samples: draw until the standard error of a row is "
            f"at most this; {DEFAULT_TARGET} nats by default."
        ),
    ] = None
    budget: Annotated[
        Budget | None,
        Field(
            description="Without n_samples: the most draws per row, "
            f"{DEFAULT_BUDGET} by default."
        ),
        AtMost(max_draws),
    ] = None
    upper: Annotated[
        bool,
        Field(description="Also bound log p(x) from above, which takes longer."),
    ] = False


class LoglikRequest(LoglikOptions):
    """Data in the likelihood's support, and how to estimate."""

    x: Annotated[Numbers, InputRows(data_shape, max_analyzed_rows)]


class LoglikResponse(EvidenceResponse):
    """log p(x) of each row, in nats, and how reliable the estimate is."""

    is_reliable: Annotated[  # type: ignore[assignment]  # null is the exception here
        Flags | None,
        Field(
            description="Whether log_p_x and its standard error can be trusted; if "
            "false, log_p_x may be far too low, [N]. Null with n_samples, where "
            "log_p_x is a bound and not an estimate."
        ),
    ]
    log_p_x_pooled: Annotated[
        Values,
        Field(
            description="The estimate from all draws together: with n_samples closer "
            "to log p(x) than log_p_x, otherwise equal to it, [N]."
        ),
    ]
    effective_sample_size: Annotated[
        Values, Field(description="The effective number of draws, [N].")
    ]
    upper: Annotated[
        Values,
        Field(
            default_factory=list,
            description="With upper: true, an upper bound, valid if its Markov chains "
            "have converged, [N].",
        ),
    ]
    upper_standard_error: Annotated[
        Values, Field(default_factory=list, description=STANDARD_ERROR)
    ]
    r_hat: Annotated[
        list[float | None],
        Field(
            default_factory=list,
            description="R-hat of the chains; above 1.01 they have not converged, [N].",
        ),
    ]
    acceptance: Annotated[
        Values,
        Field(
            default_factory=list,
            description="The mean acceptance probability of the chains, [N].",
        ),
    ]


def _examples(values: ExampleValues) -> Bodies:
    return with_x(values, n_samples=100, seed=SEED)


@post(
    "/loglik",
    summary="An estimate of log p(x), with its uncertainty",
    request=LoglikRequest,
    options=LoglikOptions,
    response=LoglikResponse,
    reads=DATA,
    writes=BY_ROW,
    room="analyses",
    tag="analyses",
    examples=_examples,
)
async def loglik(model: ServedModel, request: Request, format_: Format) -> Response:
    """
    Return an estimate of log p(x) of each row under the model, in nats.

    The ELBO is only a lower bound on log p(x), and it does not show how far below it
    is. Here Gaussians are fitted to the posterior p(z|x) of each row; z is drawn from
    them, from the encoder's q(z|x) and from the prior, and the draws get importance
    weights. This estimates log p(x) itself, with a standard error. `is_reliable` tells
    whether both can be trusted: it is false if few draws have most of the weight. Use
    it to compare models, or to find unusual data: rows with a low log p(x). With
    `n_samples` the result is the bound with K draws from the encoder's q(z|x), as
    reported in the literature (Burda et al. 2016), and `is_reliable` is null. `upper`
    adds an upper bound, valid if its Markov chains have converged (`r_hat` up to 1.01),
    so that log p(x) is between two numbers.
    """
    inputs = await read(model, request, LoglikOptions)
    options = inputs.options
    effort = _effort(options, model.settings)
    extra = analyses.n_draws_to_bound(model.config) if options.upper else 0
    compute = model.analyst.bracket if options.upper else model.analyst.evidence
    return await analyze(
        model,
        inputs,
        format_,
        lambda x, rows: compute(x, rows, effort, seed=inputs.seed, first=options.first),
        response=LoglikResponse,
        draws=effort.budget + extra,
    )


def _effort(options: LoglikOptions, settings: Settings) -> Effort:
    """Return the requested number of draws, after checking the limits."""
    if options.n_samples is None:
        target = DEFAULT_TARGET if options.target is None else options.target
        budget = budget_of(options.budget, settings)
        return Effort.adaptive(target=target, budget=budget)
    if options.target is not None or options.budget is not None:
        what = "expected n_samples alone, or target and budget, got both"
        raise UnprocessableError(Fault("/n_samples", what))
    limit = max_samples(settings.max_draws)
    if options.n_samples > limit:
        what = f"expected 1 to {limit}, got {number(options.n_samples)}"
        raise UnprocessableError(Fault("/n_samples", what))
    return Effort.fixed(options.n_samples)
