"""log p(x) in the responses of `/loglik` and `/gap`, and how many draws it may take."""

from typing import Annotated

from pydantic import Field

from app.call_parts.analysis import AnalysisResponse
from app.call_parts.fields import Counts, Flags, Values
from app.call_parts.shapes import Facts
from app.errors import Fault, UnprocessableError, number
from app.settings import Settings
from model.inference.effort import MIN_BUDGET

DEFAULT_TARGET = 0.02
DEFAULT_BUDGET = 8192
STANDARD_ERROR = "Its standard error, [N]."

Target = Annotated[
    float,
    Field(
        ge=0,
        le=1000,
        allow_inf_nan=False,
        description="Standard error of log p(x), in nats, at which a row is done.",
    ),
]
Budget = Annotated[
    int, Field(ge=MIN_BUDGET, description="The most draws of z per row for log p(x).")
]


def max_draws(facts: Facts) -> int:
    """Return the most draws of z per row."""
    return facts.limits.max_draws


class EvidenceResponse(AnalysisResponse):
    """What is said of log p(x)."""

    log_p_x: Annotated[
        Values,
        Field(
            description="The estimate of log p(x); with n_samples the bound of K "
            "draws, in expectation at most log p(x), [N]."
        ),
    ]
    log_p_x_standard_error: Annotated[Values, Field(description=STANDARD_ERROR)]
    n_samples: Annotated[Counts, Field(description="Draws of z of each row; K, [N].")]
    pareto_k: Annotated[
        list[float | None],
        Field(
            description="k-hat, how heavy the tail of the weights is; null where they "
            "are constant (the best there are) or beyond measure, [N]."
        ),
    ]
    is_reliable: Annotated[
        Flags,
        Field(
            description="Whether log_p_x and its standard error can be trusted; if "
            "false, log_p_x may be far too low, [N]."
        ),
    ]


def budget_of(asked: int | None, settings: Settings) -> int:
    """
    Return the most draws per row, as asked for or by default.

    Raises:
        UnprocessableError: More are asked for than are allowed.
    """
    most = settings.max_draws
    if asked is not None and asked > most:
        what = f"expected {MIN_BUDGET} to {most}, got {number(asked)}"
        raise UnprocessableError(Fault("/budget", what))
    return min(DEFAULT_BUDGET, most) if asked is None else asked
