"""POST /loglik: how likely x is, log p(x), and how sure that is."""

from typing import Annotated

from pydantic import Field

from app.call_parts.analysis import PositionedOptions, analyze, read
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
from app.call_parts.fields import Numbers, Values
from app.call_parts.formats import ALL_ARRAYS, ONE_ARRAY
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import AtMost, InputRows, data_shape, max_analyzed_rows
from app.errors import Fault, UnprocessableError, number
from app.http.exchange import Request, Response
from app.settings import Settings
from app.wire.negotiation import Format
from model.inference import analyses
from model.inference.bounds import N_BLOCKS
from model.inference.effort import Effort


class LoglikOptions(PositionedOptions):
    """The options of `/loglik`: `n_samples`, or `target` and `budget`."""

    n_samples: Annotated[
        int | None,
        Field(ge=1, description="K: the bound is that of K draws, measured 32 times."),
        AtMost(lambda facts: facts.limits.max_draws // N_BLOCKS),
    ] = None
    target: Annotated[
        Target | None,
        Field(
            description="Without n_samples: K is doubled until the standard error of "
            f"a row is at most this, {DEFAULT_TARGET} nats if left out."
        ),
    ] = None
    budget: Annotated[
        Budget | None,
        Field(
            description="Without n_samples: or until a row would take more draws, "
            f"{DEFAULT_BUDGET} if left out."
        ),
        AtMost(max_draws),
    ] = None
    upper: Annotated[
        bool,
        Field(
            description="Bound log p(x) from above, too, and draw for both from a "
            "q(z|x) refined for each row; takes far longer."
        ),
    ] = False


class LoglikRequest(LoglikOptions):
    """Data in the likelihood's support, and how to estimate."""

    x: Annotated[Numbers, InputRows(data_shape, max_analyzed_rows)]


class LoglikResponse(EvidenceResponse):
    """log p(x) of each row, in nats, and how far it can be trusted."""

    log_p_x_pooled: Annotated[
        Values,
        Field(
            description="From all 32 K draws at once: nearer to log p(x). Well above "
            "log_p_x, it says that K is too small, [N]."
        ),
    ]
    effective_sample_size: Annotated[
        Values, Field(description="Of the 32 K draws, how many count, [N].")
    ]
    upper: Annotated[
        Values,
        Field(
            default_factory=list,
            description="With upper: true, a bound from above, as true as its Markov "
            "chains have converged, [N].",
        ),
    ]
    upper_standard_error: Annotated[
        Values, Field(default_factory=list, description=STANDARD_ERROR)
    ]
    r_hat: Annotated[
        list[float | None],
        Field(
            default_factory=list,
            description="Of the chains; above 1.01 they have not converged, [N].",
        ),
    ]
    acceptance: Annotated[
        Values,
        Field(
            default_factory=list,
            description="The chains' mean probability of moving, [N].",
        ),
    ]


def _examples(values: ExampleValues) -> Bodies:
    return with_x(values, n_samples=100, seed=SEED)


@post(
    "/loglik",
    summary="How likely x is: log p(x), and how sure that is",
    request=LoglikRequest,
    options=LoglikOptions,
    response=LoglikResponse,
    reads=ONE_ARRAY,
    writes=ALL_ARRAYS,
    room="analyses",
    tag="analyses",
    examples=_examples,
)
async def loglik(model: ServedModel, request: Request, format_: Format) -> Response:
    """
    Answer how likely each row is under the model: log p(x), in nats.

    The ELBO is only a lower bound on log p(x), and how far below it lies nobody
    can see from it. Here the model draws many z for each row and weighs them by
    importance (Burda et al. 2016), which brings the bound close to log p(x) and
    says how sure it is: a standard error, and `is_reliable`, which is false where
    a few draws carry all the weight, so that more are needed or the number cannot
    be trusted. Use it to compare models, or to find unusual data: rows with a low
    log p(x) are the ones the model did not expect. With `n_samples` the draws come
    from the encoder's q(z|x), as in the literature; else from a mixture of it with
    wider copies and the prior, which finds what q overlooks. `upper` adds an
    estimate from the other side, a bound where its Markov chains have converged
    (`r_hat` up to 1.01), so that log p(x) lies between two numbers.
    """
    asked = await read(model, request, LoglikOptions)
    options = asked.options
    effort = _effort(options, model.settings)
    extra = analyses.draws_above(model.config) if options.upper else 0
    compute = model.analyst.bracketed if options.upper else model.analyst.evidence
    return await analyze(
        model,
        asked,
        format_,
        lambda x, rows: compute(x, rows, effort, seed=asked.seed, first=options.first),
        draws=effort.budget + extra,
    )


def _effort(options: LoglikOptions, settings: Settings) -> Effort:
    """Return how many draws are asked for, if they are allowed."""
    if options.n_samples is None:
        target = DEFAULT_TARGET if options.target is None else options.target
        budget = budget_of(options.budget, settings)
        return Effort.adaptive(target=target, budget=budget)
    if options.target is not None or options.budget is not None:
        what = "expected n_samples alone, or target and budget, got both"
        raise UnprocessableError(Fault("/n_samples", what))
    most = settings.max_draws // N_BLOCKS
    if options.n_samples > most:
        what = f"expected 1 to {most}, got {number(options.n_samples)}"
        raise UnprocessableError(Fault("/n_samples", what))
    return Effort.fixed(options.n_samples)
