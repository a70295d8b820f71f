"""POST /anomaly: whether x belongs, by its rank among held-out rows."""

from typing import Annotated

from pydantic import Field

from app.call_parts.analysis import AnalysisOptions, AnalysisResponse, analyze, read
from app.call_parts.call import post
from app.call_parts.examples import SEED, Bodies, ExampleValues, with_x
from app.call_parts.fields import Numbers, Values
from app.call_parts.formats import ALL_ARRAYS, ONE_ARRAY
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import (
    InputRows,
    Shape,
    data_shape,
    max_analyzed_rows,
    max_rows,
)
from app.compute.operations import Binarize
from app.errors import Fault, UnprocessableError
from app.http.exchange import Request, Response
from app.wire.negotiation import Format
from model.checkpoint import Checkpoint
from model.checkpoint.held_out import Calibration, Scores
from model.config import Binarization

SCORE = "negative_elbo"
# How a request has rows made binary in the way that held-out rows were.
_SAME: dict[Binarization, Binarize | None] = {
    "none": None,
    "threshold": "threshold",
    "static": "sample",
    "dynamic": "sample",
}


class AnomalyOptions(AnalysisOptions):
    """The options of `/anomaly`."""

    binarize: Annotated[
        Binarize | None,
        Field(
            description="As in `/elbo`, for gray x; only the way in which the held-out "
            "rows were binarized."
        ),
    ] = None


class AnomalyRequest(AnomalyOptions):
    """Data in the likelihood's support."""

    x: Annotated[Numbers, InputRows(data_shape, max_analyzed_rows)]


class AnomalyResponse(AnalysisResponse):
    """How unusual each row is beside rows that were held out of training."""

    negative_elbo: Annotated[
        Values,
        Field(description="The score: -ELBO in nats, of n_samples draws of z, [N]."),
    ]
    negative_elbo_standard_error: Annotated[
        Values | None,
        Field(
            description="Its standard error, from the spread of the K draws, [N]. "
            "Null for K = 1, which has no spread."
        ),
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
        Shape(max_rows, data_shape),
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
    binarization: Annotated[str, Field(description="How they were binarized.")]


def _examples(values: ExampleValues) -> Bodies:
    return with_x(values, seed=SEED)


def _why_not(checkpoint: Checkpoint) -> str:
    if usable(checkpoint.calibration) is not None:
        return ""
    return (
        f"expected a checkpoint with held-out scores ({SCORE}), this one has none; "
        "training writes them"
    )


@post(
    "/anomaly",
    summary="Whether x belongs: its score among held-out ones",
    request=AnomalyRequest,
    options=AnomalyOptions,
    response=AnomalyResponse,
    reads=ONE_ARRAY,
    writes=ALL_ARRAYS,
    room="analyses",
    tag="analyses",
    examples=_examples,
    why_not=_why_not,
)
async def anomaly(model: ServedModel, request: Request, format_: Format) -> Response:
    """
    Answer whether each row belongs: how it ranks among rows held out of training.

    A score alone says little: is -ELBO = 95 nats a lot? So it is ranked among the
    scores of rows that training has not seen, which the checkpoint carries, and
    the rank is a p-value: if the row comes from where the held-out rows came from
    (is exchangeable with them), a p-value of at most 0.01 happens to one such row
    in a hundred. `p_value_upper` is small for rows that the model finds unlikely,
    and `surprise_per_dim` shows which of their values it did not expect. Do not
    rely on that side alone: data that do not belong at all may well be more likely
    than those that do, if they are simpler, such as an image of one color
    (Nalisnick et al. 2019). `p_value_lower` is small for those, `p_value_two_sided`
    for both. A large p-value does not prove that a row belongs: only this one score
    was looked at. Of many rows tested at 0.01, one in a hundred is reported though
    all belong. A checkpoint without held-out scores is refused (422).
    """
    asked = await read(model, request, AnomalyOptions)
    calibration = usable(model.checkpoint.calibration)
    if calibration is None or calibration.settings.n_samples is None:
        raise UnprocessableError(Fault("", _why_not(model.checkpoint)))
    settings = calibration.settings
    _check_same(asked.options.binarize, settings.binarization)
    n_samples = calibration.settings.n_samples
    model.check_output(len(asked.x.values))
    return await analyze(
        model,
        asked,
        format_,
        lambda x, rows: model.analyst.anomalies(
            x, rows, calibration, seed=asked.seed, first=asked.options.first
        ),
        draws=n_samples,
        scalars={
            "n_samples": n_samples,
            "n_calibration": len(calibration.values),
            "split": settings.split,
            "binarization": settings.binarization,
        },
        shaped=("surprise_per_dim",),
    )


def usable(calibration: Calibration | None) -> Scores | None:
    """Return the held-out scores that `/anomaly` ranks by, if a checkpoint has any."""
    scores = None if calibration is None else calibration.scores.get(SCORE)
    return None if scores is None or scores.settings.n_samples is None else scores


def _check_same(asked: Binarize | None, held_out: Binarization) -> None:
    """Refuse to make rows binary as held-out rows were not: they would rank wrongly."""
    if asked is not None and asked != _SAME[held_out]:
        what = (
            f"expected {_SAME[held_out] or 'none'}, as the held-out rows were "
            f"binarized ({held_out}), got {asked}"
        )
        raise UnprocessableError(Fault("/binarize", what))
