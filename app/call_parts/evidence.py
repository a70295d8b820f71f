"""What `/loglik` and `/gap` share: log p(x) in responses, and the budget of draws."""

from typing import Annotated

from pydantic import Field

from app.call_parts.analysis import AnalysisResponse
from app.call_parts.fields import Counts, Flags, Values
from app.call_parts.shapes import Facts
from app.errors import Fault, UnprocessableError, number
from app.settings import Settings
from model.inference.budget import MIN_BUDGET

DEFAULT_TARGET = 0.02
DEFAULT_BUDGET = 8192
STANDARD_ERROR = "Its standard error, [N]."

Target = Annotated[
    float,
    Field(
        ge=0,
        le=1000,
        allow_inf_nan=False,
        description="Standard error of log p(x), in nats, at which to stop drawing.",
    ),
]
Budget = Annotated[
    int, Field(ge=MIN_BUDGET, description="The most draws of z per row for log p(x).")
]


def max_draws(facts: Facts) -> int:
    """Return the most draws of z per row."""
    return facts.limits.max_draws


class EvidenceResponse(AnalysisResponse):
    """log p(x) of each row, with diagnostics."""

    log_p_x: Annotated[
        Values,
        Field(
            description="The estimate of log p(x); with n_samples the bound with K "
            "draws, in expectation at most log p(x), [N]."
        ),
    ]
    log_p_x_standard_error: Annotated[Values, Field(description=STANDARD_ERROR)]
    n_samples: Annotated[Counts, Field(description="K, draws of z for each row, [N].")]
    pareto_k: Annotated[
        list[float | None],
        Field(
            description="k-hat, the tail index of the weights; null if the weights are "
            "constant (the best case) or k-hat cannot be measured, [N]."
        ),
    ]
    is_reliable: Annotated[
        Flags,
        Field(
            description="Whether log_p_x and its standard error can be trusted; if "
            "false, log_p_x may be far too low, [N]."
        ),
    ]


def budget_of(budget: int | None, settings: Settings) -> int:
    """
    Return the most draws per row, as requested or by default.

    Raises:
        UnprocessableError: The requested number is over the limit.
    """
    limit = settings.max_draws
    if budget is not None and budget > limit:
        what = f"expected {MIN_BUDGET} to {limit}, got {number(budget)}"
        raise UnprocessableError(Fault("/budget", what))
    return min(DEFAULT_BUDGET, limit) if budget is None else budget
