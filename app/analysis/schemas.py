"""The JSON bodies of the analyses, as `app.schemas` has those of the operations."""

from typing import Annotated, Literal

from pydantic import Field

from app.compute.operations import Binarize
from app.schemas import Body, Numbers, Seed
from model.inference.effort import MIN_BUDGET

DEFAULT_TARGET = 0.02
DEFAULT_BUDGET = 8192
MAX_FIRST = 2**53

_ERROR = "Its standard error, [N]."

Values = list[float]
Flags = list[bool]
Counts = list[int]
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
First = Annotated[
    int,
    Field(
        ge=0,
        le=MAX_FIRST,
        description="Position of the first row in its data: the noise of row i is a "
        "function of seed and first + i, so that data may be sent in pieces.",
    ),
]


class AnalysisOptions(Body):
    """What every analysis may be told beside x."""

    seed: Annotated[
        Seed | None, Field(description="Drawn by the server if it is left out.")
    ] = None
    binarize: Annotated[
        Binarize | None, Field(description="As in `/elbo`, for grey x.")
    ] = None


class PosteriorOptions(AnalysisOptions):
    """What `/posterior` may be told; of the seed it has need to binarise only."""


class RefineOptions(AnalysisOptions):
    """What `/refine` may be told."""

    first: First = 0


class GapOptions(RefineOptions):
    """What `/gap` may be told."""

    target: Target = DEFAULT_TARGET
    budget: Annotated[
        Budget | None,
        Field(description=f"The most draws per row; {DEFAULT_BUDGET} if left out."),
    ] = None


class LoglikOptions(RefineOptions):
    """What `/loglik` may be told: `n_samples`, or `target` and `budget`."""

    n_samples: Annotated[
        int | None,
        Field(ge=1, description="K: the bound is that of K draws, measured 32 times."),
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

    x: Numbers


class GapRequest(GapOptions):
    """Data in the likelihood's support, and how to estimate."""

    x: Numbers


class RefineRequest(RefineOptions):
    """Data in the likelihood's support."""

    x: Numbers


class PosteriorRequest(PosteriorOptions):
    """Data in the likelihood's support."""

    x: Numbers


class AnalysisResponse(Body):
    """What every answer ends with."""

    seed: Annotated[Seed, Field(description="The seed used.")]
    binarize: Annotated[Binarize | None, Field(description="How x was binarised.")]
    units: Literal["nats"]


class EvidenceResponse(AnalysisResponse):
    """What is said of an importance-weighted bound."""

    log_p_x: Annotated[
        Values,
        Field(
            description="The importance-weighted bound of K draws: in expectation at "
            "most log p(x), and nearer the larger K, [N]."
        ),
    ]
    log_p_x_standard_error: Annotated[Values, Field(description=_ERROR)]
    n_samples: Annotated[Counts, Field(description="K of each row, [N].")]
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
            description="Whether k-hat is low enough for log_p_x and its standard "
            "error to be trusted; if false, log_p_x may be far too low, [N]."
        ),
    ]


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
        Values, Field(default_factory=list, description=_ERROR)
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


class RefineResponse(AnalysisResponse):
    """q(z|x) optimised for each row alone, and what that gained, in nats."""

    mu: Annotated[Numbers, Field(description="Means of the refined q(z|x), [N, J].")]
    log_var: Annotated[Numbers, Field(description="Its log sigma^2, [N, J].")]
    elbo_before: Annotated[Values, Field(description="With the encoder's q, [N].")]
    elbo_before_standard_error: Annotated[Values, Field(description=_ERROR)]
    elbo_after: Annotated[Values, Field(description="With the refined q, [N].")]
    elbo_after_standard_error: Annotated[Values, Field(description=_ERROR)]
    improvement: Annotated[Values, Field(description="After less before, [N].")]
    improvement_standard_error: Annotated[
        Values,
        Field(description="From the same draws, so smaller than those of both, [N]."),
    ]
    n_steps: Annotated[Counts, Field(description="Steps of L-BFGS, [N].")]
    converged: Annotated[
        Flags, Field(description="Whether less than 1e-4 nats were left to gain, [N].")
    ]


class GapResponse(EvidenceResponse):
    """log p(x) - ELBO of each row and its two parts, in nats."""

    elbo_before: Annotated[Values, Field(description="With the encoder's q, [N].")]
    elbo_before_standard_error: Annotated[Values, Field(description=_ERROR)]
    elbo_after: Annotated[Values, Field(description="With the refined q, [N].")]
    elbo_after_standard_error: Annotated[Values, Field(description=_ERROR)]
    approximation_gap: Annotated[
        Values, Field(description="log_p_x - elbo_after: the family of q, [N].")
    ]
    approximation_gap_standard_error: Annotated[Values, Field(description=_ERROR)]
    amortization_gap: Annotated[
        Values, Field(description="elbo_after - elbo_before: sharing φ, [N].")
    ]
    amortization_gap_standard_error: Annotated[Values, Field(description=_ERROR)]
    total_gap: Annotated[
        Values, Field(description="Their sum, KL(q(z|x) || p(z|x)), [N].")
    ]
    total_gap_standard_error: Annotated[Values, Field(description=_ERROR)]
    converged: Annotated[
        Flags, Field(description="Whether the refined q was found, [N].")
    ]


class PosteriorResponse(AnalysisResponse):
    """p(z|x) of each row by quadrature, and how far q(z|x) is from it, in nats."""

    log_p_x: Annotated[Values, Field(description="log p(x), [N].")]
    log_p_x_error: Annotated[
        Values, Field(description="Its error of quadrature; none of chance, [N].")
    ]
    kl: Annotated[
        Values,
        Field(
            description="KL(q(z|x) || p(z|x)) = log p(x) - ELBO, without noise, [N]."
        ),
    ]
    kl_error: Annotated[Values, Field(description="Its error of quadrature, [N].")]
    converged: Annotated[
        Flags, Field(description="Whether log_p_x_error is at most 1e-6, [N].")
    ]
    mean: Annotated[Numbers, Field(description="E[z|x], [N, J].")]
    covariance: Annotated[list[Numbers], Field(description="Cov[z|x], [N, J, J].")]
    axes: Annotated[
        list[Numbers],
        Field(description="The grid's values of each z_j, in equal steps, [N, J, G]."),
    ]
    log_posterior: Annotated[
        list[Values] | list[Numbers],
        Field(description="log p(z|x) on it, [N, G] or [N, G, G], z_1 first."),
    ]
    log_q: Annotated[
        list[Values] | list[Numbers],
        Field(
            description="log q(z|x), likewise; q may reach beyond the grid, which "
            "covers p(z|x)."
        ),
    ]
