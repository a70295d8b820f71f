"""Raw rows of a file, or of a batch, as what the engine computes on."""

from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from model.engine import Array, Encoding, Engine
from model.raw_values import PLAIN, FloatArray, RawValues
from model.tables.marginals import CodeError, Marginals
from model.units import Units
from model.vae import VAE


@final
class ValueOutsideError(ValueError):
    """A value cannot be used; `index` is its (row, d) among the rows, flat."""

    def __init__(self, index: tuple[int, int], why: str) -> None:
        super().__init__(f"row {index[0]}, value {index[1]}: {why}")
        self.index = index
        self.why = why


@final
@dataclass(frozen=True, eq=False)
class Conversion:
    """
    How raw values become x in the model's units, or z: as in a request to the service.

    Attributes:
        raw: How raw values become numbers, and which the model accepts.
        units: The data's units if rows are standardized.
        marginals: Those of the columns of a table, whose raw values are codes.
    """

    raw: RawValues
    units: Units | None = None
    marginals: Marginals | None = None

    @classmethod
    def to_x(cls, vae: VAE) -> Self:
        """Return the conversion of data."""
        return cls(RawValues.of_model(vae.config), vae.units, vae.marginals)

    @classmethod
    def to_z(cls) -> Self:
        """Return the conversion of latents."""
        return cls(PLAIN)

    def rows(self, values: NDArray[Any]) -> Array:
        """
        Convert raw rows, (N, ...), to float32, (N, D); codes to (N, 5 D).

        Raises:
            ValueOutsideError: A value is not finite or outside the model's range.
        """
        if self.marginals is not None:
            return _coded(self.marginals, self.raw.convert(values))
        x: FloatArray = self.raw.convert(values).reshape(len(values), -1)
        flat = x.reshape(-1)
        outside = None if self._fits(values) else self.raw.first_outside(flat)
        if outside is not None:
            raise self._outside(x, outside)
        with np.errstate(over="ignore"):  # checked below
            rows = (
                x.astype(np.float32, copy=False)
                if self.units is None
                else self.units.standardize(x)
            )
        if self.raw.value_range is None or self.units is not None:
            _check_finite(rows, x, is_standardized=self.units is not None)
        return rows

    def _fits(self, values: NDArray[Any]) -> bool:
        """Return whether all values of a dtype are in the range, so none is checked."""
        if self.raw.value_range is None or values.dtype.kind not in "bu":
            return False
        largest = 1 if values.dtype.kind == "b" else np.iinfo(values.dtype).max
        low, high = self.raw.value_range
        ends = self.raw.convert(np.array([0, largest], values.dtype))
        return low <= float(ends[0]) and float(ends[1]) <= high

    def _outside(self, x: FloatArray, position: int) -> ValueOutsideError:
        low, high = self.raw.value_range or (0, 0)
        why = f"expected a value in [{low:g}, {high:g}]"
        cause = self.raw.likely_cause(x.reshape(-1))
        index = divmod(position, x.shape[1])
        return ValueOutsideError(index, f"{why}; {cause}" if cause else why)


def encode_block(engine: Engine, values: NDArray[Any]) -> Encoding:
    """
    Return q(z|x) for raw rows, (N, ...), with the bits of the service's `/encode`.

    Raises:
        ValueOutsideError: A value is not finite or outside the model's range.
    """
    return engine.encode(Conversion.to_x(engine.checkpoint.vae).rows(values))


def _coded(marginals: Marginals, codes: FloatArray) -> Array:
    try:
        return marginals.x_of(codes)
    except CodeError as error:
        why = f"expected {error.wanted}"
        raise ValueOutsideError(error.index, why) from error


def _check_finite(rows: Array, x: FloatArray, *, is_standardized: bool) -> None:
    is_finite = np.isfinite(rows)
    if is_finite.all():
        return
    row, d = np.argwhere(~is_finite)[0].tolist()
    if not np.isfinite(x[row, d]):
        wanted = "a finite number"
    elif is_standardized:
        wanted = "a number like those of the training, this is too far from them"
    else:
        wanted = "a number that fits float32"
    raise ValueOutsideError((row, d), f"expected {wanted}")
