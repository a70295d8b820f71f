"""The JSON bodies of `/impute`."""

from typing import Annotated

from pydantic import Field

from app.analysis.schemas import AnalysisResponse, RefineOptions, Values
from app.schemas import Numbers

DEFAULT_DRAWS = 1000


class ImputeOptions(RefineOptions):
    """What `/impute` may be told."""

    n_samples: Annotated[
        int, Field(ge=1, description="S, draws of the whole x per row.")
    ] = 1
    n_draws: Annotated[
        int | None,
        Field(
            ge=1,
            description="K, draws of z per row that mean, variance and samples rest "
            f"on; {DEFAULT_DRAWS} if left out.",
        ),
    ] = None


class ImputeRequest(ImputeOptions):
    """Data in the likelihood's support where they are known, and where that is."""

    x: Numbers
    mask: Annotated[
        Numbers,
        Field(
            description="1 where x is known, 0 where it is missing; what x has there "
            "is never read."
        ),
    ]


class ImputeResponse(AnalysisResponse):
    """What the model says of missing values, given those that are known."""

    mean: Annotated[
        Numbers,
        Field(description="E[x | x_o]; x itself where it is known, [N, *data_shape]."),
    ]
    variance: Annotated[
        Numbers,
        Field(description="Var[x | x_o]; 0 where x is known, [N, *data_shape]."),
    ]
    samples: Annotated[
        list[Numbers],
        Field(description="Draws of x given x_o, [N, S, *data_shape]."),
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
