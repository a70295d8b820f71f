"""Values for example requests in the API documentation."""

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from app.call_parts.fields import Numbers
from app.http.pictures import Images
from app.wire import codes
from model.engine import Engine

SEED = 42
MAX_EXAMPLE_DIM = 4096
_NAME = "A request for this model"
_IMAGE = "An image"
BY_NAME = "Rows by the names of their columns"
_DIGITS = 4

Bodies = Mapping[str, Mapping[str, Any]]


@final
class ExampleValues:
    """
    The prior's mean and its decoded data.

    Attributes:
        x: One row of data; None if it is too long to read.
        z: One latent.
        z_pair: Two latents, a standard deviation on either side of `z`.
        mask: A mask for one row, with the first half known.
        record: The row by the names of its columns; None if they have none.
        x_png: The row as an image; None if the data are not images, or too long.
    """

    def __init__(self, engine: Engine, images: Images | None) -> None:
        config, moments = engine.config, engine.prior_moments
        z = moments.mean.astype(np.float32)[None]
        sigma = moments.standard_deviation.astype(np.float32)
        self.checkpoint = engine.checkpoint
        self.z: Numbers = z.tolist()
        self.z_pair: Numbers = [(z[0] - sigma).tolist(), (z[0] + sigma).tolist()]
        self.x: Numbers | None = None
        self.record: dict[str, Any] | None = None
        self.x_png: str | None = None
        if config.data_dim <= MAX_EXAMPLE_DIM:
            mean = engine.decode(z).mean.astype(np.float64)
            if config.likelihood.kind == "bernoulli":
                mean = (mean >= 0.5).astype(np.int64)
            self.x = _round(mean, engine).tolist()
            if columns := config.data.columns:
                cells: Sequence[Any] = self.x[0]
                if (table := config.table) is not None:
                    (cells,) = codes.cells(np.array(self.x), columns, table)
                    named = zip(columns, cells, strict=True)
                    self.x = [[float(table.codes(c, [v])[0]) for c, v in named]]
                self.record = dict(zip(columns, cells, strict=True))
            self.x_png = None if images is None else images.data_url(mean)
        known = np.arange(config.data_dim) < (config.data_dim + 1) // 2
        self.mask: list[list[int]] = known.astype(np.int64)[None].tolist()


def _round(x: NDArray[Any], engine: Engine) -> NDArray[Any]:
    """Round to a few digits of the spread of each value, (1, D)."""
    if engine.units is None:
        return x.round(_DIGITS)
    steps = 10.0 ** (np.floor(np.log10(engine.units.scale)) - _DIGITS)
    rounded = np.rint(x / steps) * steps
    # The product has digits that no person would write.
    return np.array([[float(f"{value:.12g}") for value in row] for row in rounded])


def example(body: Mapping[str, Any]) -> Bodies:
    """Return one body as an example."""
    return {_NAME: body}


def with_x(values: ExampleValues, **options: object) -> Bodies:
    """Return bodies with x, by name first; none if x is too long to read."""
    bodies: dict[str, Mapping[str, Any]] = {}
    if values.record is not None:
        bodies[BY_NAME] = {"x": [values.record], **options}
    if values.x is not None:
        bodies |= example({"x": values.x, **options})
    return bodies


def with_x_or_image(values: ExampleValues, **options: object) -> Bodies:
    """Return a body with x, and one with an image if the data are images."""
    bodies = dict(with_x(values, **options))
    if values.x_png is not None:
        bodies[_IMAGE] = {"x_png": values.x_png, **options}
    return bodies
