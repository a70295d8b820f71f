"""The JSON bodies of `/anomaly`."""

from typing import Annotated

from pydantic import Field

from app.analysis.schemas import AnalysisResponse, RefineOptions, Values
from app.compute.operations import Binarize
from app.schemas import Numbers


class AnomalyOptions(RefineOptions):
    """What `/anomaly` may be told."""

    binarize: Annotated[
        Binarize | None,
        Field(
            description="As in `/elbo`, for grey x; only the way in which the held-out "
            "rows were binarised."
        ),
    ] = None


class AnomalyRequest(AnomalyOptions):
    """Data in the likelihood's support."""

    x: Numbers


class AnomalyResponse(AnalysisResponse):
    """How unusual each row is beside rows that were held out of training."""

    negative_elbo: Annotated[
        Values,
        Field(description="The score: -ELBO in nats, of n_samples draws of z, [N]."),
    ]
    p_value_upper: Annotated[
        Values,
        Field(
            description="Small where the score is higher than those of held-out rows: "
            "the row is less likely than they are, [N]."
        ),
    ]
    p_value_lower: Annotated[
        Values,
        Field(description="Small where it is lower: suspiciously likely, [N]."),
    ]
    p_value_two_sided: Annotated[
        Values, Field(description="Small where it is either, [N].")
    ]
    surprise_per_dim: Annotated[
        Numbers,
        Field(
            description="E_q[-log p(x_d|z)], which values of x the score comes from; "
            "with KL(q(z|x) || p(z)) they add up to it, [N, *data_shape]."
        ),
    ]
    n_samples: Annotated[int, Field(description="K, that of the held-out scores.")]
    n_calibration: Annotated[
        int,
        Field(
            description="How many held-out rows the score is ranked among: no p-value "
            "is below 1 / (n_calibration + 1)."
        ),
    ]
    split: Annotated[str, Field(description="What they were held out as.")]
    binarization: Annotated[str, Field(description="How they were binarised.")]
