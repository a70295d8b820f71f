"""GET /examples: held-out rows of the checkpoint, and the ELBO of such rows."""

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
from model.engine import AnyArray

# Enough to look at: 64 color images of 32 x 32 fit.
MAX_VALUES = 1 << 18
_LEVELS = np.linspace(0, 1, 101)


@final
class HeldOutElbo(StrictObject):
    """The ELBO of held-out rows, in nats per row."""

    quantiles: Annotated[
        list[float], Field(description="At 0, 1, ..., 100 percent, ascending.")
    ]
    n: Annotated[int, Field(description="The number of rows.")]
    split: Annotated[str, Field(description="Which rows of the data they are.")]
    binarization: Annotated[str, Field(description="How the rows were binarized.")]
    n_samples: Annotated[int | None, Field(description="K, draws of z per row.")]


@final
class HeldOut(StrictObject):
    """Example rows that were not used in training."""

    x: Annotated[
        Numbers,
        Field(
            description="The rows, as the model takes them, [n, *data_shape], n <= 64; "
            "empty if the checkpoint has none."
        ),
        Shape(max_rows, data_shape, at_least=0),
    ]
    labels: Annotated[
        list[int] | None, Field(description="Their classes; null if unknown.")
    ]
    elbo: Annotated[
        HeldOutElbo | None,
        Field(description="The ELBO of held-out rows; null if unknown."),
    ]


@get("/examples", summary="Held-out example rows", response=HeldOut)
def examples(model: ServedModel, _: Sequence[Call]) -> Endpoint:
    """Return held-out rows of the checkpoint, and the ELBO of such rows."""
    return StaticDocument(_held_out(model.checkpoint))


def _held_out(checkpoint: Checkpoint) -> bytes:
    """Return a `HeldOut` as JSON, with as many rows as fit in `MAX_VALUES` values."""
    shape = checkpoint.config.data_shape
    x: AnyArray = np.empty((0, *shape), np.float32)
    labels = None
    if checkpoint.examples is not None:
        found = checkpoint.examples
        rows = evenly(len(found.x), MAX_VALUES // checkpoint.config.data_dim)
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
