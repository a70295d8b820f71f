"""GET /examples: held-out rows of the checkpoint, and how such rows score."""

from collections.abc import Sequence
from typing import Annotated, final

import numpy as np
import orjson
from pydantic import Field

from app.call_parts.call import Call, Endpoint, get
from app.call_parts.document import StaticDocument
from app.call_parts.fields import Numbers
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import Shape, data_shape, max_rows
from app.http.schema import StrictObject
from model.checkpoint import Checkpoint
from model.checkpoint.held_out import evenly

# What is worth sending to look at: 64 color images of 32 x 32 fit.
MAX_VALUES = 1 << 18
_LEVELS = np.linspace(0, 1, 101)


@final
class HeldOutElbo(StrictObject):
    """The ELBO of held-out rows, in nats per row."""

    quantiles: Annotated[
        list[float], Field(description="At 0, 1, ..., 100 percent; ascending.")
    ]
    n: Annotated[int, Field(description="How many rows they are the quantiles of.")]
    split: str
    binarization: Annotated[str, Field(description="How the rows became {0, 1}.")]
    n_samples: Annotated[int | None, Field(description="K, draws of z per row.")]


@final
class HeldOut(StrictObject):
    """Rows to look at that the model was not trained on."""

    x: Annotated[
        Numbers,
        Field(
            description="As the model is given them, [n, *data_shape], n <= 64; "
            "empty where the checkpoint holds none."
        ),
        Shape(max_rows, data_shape, at_least=0),
    ]
    labels: Annotated[
        list[int] | None, Field(description="Their classes, if they have any.")
    ]
    elbo: Annotated[
        HeldOutElbo | None, Field(description="How held-out rows score, if known.")
    ]


@get("/examples", summary="Held-out rows to look at", response=HeldOut)
def examples(model: ServedModel, _: Sequence[Call]) -> Endpoint:
    """Return held-out rows of the checkpoint, and how such rows score."""
    return StaticDocument(held_out(model.checkpoint))


def held_out(checkpoint: Checkpoint, *, max_values: int = MAX_VALUES) -> bytes:
    """Return a `HeldOut` in JSON, with as many rows as `max_values` values allow."""
    shape = checkpoint.config.data_shape
    x = np.empty((0, *shape), np.float32)
    labels = None
    if checkpoint.examples is not None:
        found = checkpoint.examples
        rows = evenly(len(found.x), max_values // checkpoint.config.data_dim)
        x = found.x[rows].reshape(-1, *shape)
        labels = None if found.labels is None else found.labels[rows].tolist()
    elbo = _elbo(checkpoint)
    return orjson.dumps(
        {"x": x, "labels": labels, "elbo": elbo and elbo.model_dump()},
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def _elbo(checkpoint: Checkpoint) -> HeldOutElbo | None:
    calibration = checkpoint.calibration
    scores = calibration and calibration.scores.get("negative_elbo")
    if not scores:
        return None
    return HeldOutElbo(
        quantiles=np.quantile(-scores.values, _LEVELS).tolist(),
        n=len(scores.values),
        split=scores.settings.split,
        binarization=scores.settings.binarization,
        n_samples=scores.settings.n_samples,
    )
