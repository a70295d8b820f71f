"""
The results of the calls: frozen, with the names of the HTTP interface.

The result of the method `encode` is an `EncodeResult`, and so on. N is the number of
examples, J that of latent dimensions, `data_shape` the shape of one example, K the
number of draws of z per example. Arrays in the units of the data, and densities of x,
are float64 if the model standardizes, else float32. The results of the analyses are in
`vae_client.analysis_results`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, final

from numpy.typing import NDArray

from vae_client import cells, frames
from vae_client.arrays import DataArray, Float32Array, Float64Array, Int64Array

_Frame = TypeVar("_Frame")
BinarizeChoice = Literal["threshold", "sample"]
DrawChoice = Literal["mean", "sample"]
PathChoice = Literal["straight", "great_circle"]
ScaleChoice = Literal["prior", "aggregate"]
UnknownChoice = Literal["refuse", "unseen"]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class EncodeResult:
    """q(z|x), a diagonal Gaussian per example: `mu` and `log_var`, (N, J)."""

    mu: Float32Array
    log_var: Float32Array


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class DecodeResult:
    """
    The parameters of p(x|z), (N, *data_shape).

    Attributes:
        log_var: log sigma^2, or None if the likelihood has no variance parameter.
        likelihood: The family: bernoulli, continuous_bernoulli, gaussian or table.
        variance: With `parameters`: the variance of a number, in ranks of ordered
            categories; for other categories, the probability that x is not `mean`.
        quantiles: With `parameters`: codes at 5, 25, 50, 75 and 95 percent,
            (N, 5, *data_shape), NaN for categories without an order.
        probabilities: With `parameters`: of the categories in `ModelResult.levels`,
            (N, L), or None if there are none.
        missing: With `parameters`: the probability that a draw lacks the cell, or None
            if draws of the model lack none.
    """

    mean: DataArray
    log_var: DataArray | None
    likelihood: str
    variance: Float64Array | None = None
    quantiles: Float64Array | None = None
    probabilities: Float64Array | None = None
    missing: Float64Array | None = None


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class SampleResult:
    """
    Draws from the model.

    Attributes:
        x: E[x|z], or draws of x with `draw="sample"`, (n, *data_shape). Missing cells
            of a table are NaN.
        z: Draws of z ~ p(z), (n, J).
        seed: The seed of both.
    """

    x: DataArray
    z: Float32Array
    seed: int


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ReconstructResult:
    """
    What the model makes of x: encoded, then decoded.

    Attributes:
        x: E[x|z], (N, *data_shape); with `n_samples` of each draw, (N, K, *data_shape).
        seed: The seed of the draws, or None if there were none.
    """

    x: DataArray
    seed: int | None


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ElboResult:
    """
    A lower bound on log p(x) per example, (N,), and its terms.

    Attributes:
        elbo: `log_likelihood` - `kl`.
        elbo_standard_error: Its standard error, from the spread of the K draws, or None
            for K = 1.
        log_likelihood: The mean of log p(x|z) over K draws of z.
        kl: KL(q(z|x) || p(z)): exact under a standard normal prior; under a learned
            prior estimated from the same draws, so it can be below 0.
        kl_per_dim: Its terms, (N, J), or None under a learned prior, where it has none.
        n_samples: K.
        binarize: How x was made binary, or None if it was not.
        units: The units of the bound and its terms: nats.
    """

    elbo: DataArray
    elbo_standard_error: Float32Array | None
    log_likelihood: DataArray
    kl: Float32Array
    kl_per_dim: Float32Array | None
    n_samples: int
    seed: int
    binarize: str | None
    units: str


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class InterpolateResult:
    """
    A path between two points.

    Attributes:
        z: Points on it, (n, J).
        mean: E[x|z] at each, (n, *data_shape).
        path: straight or great_circle.
    """

    z: Float32Array
    mean: DataArray
    path: str


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class TraverseResult:
    """
    What each latent dimension changes while the others stay fixed.

    Attributes:
        z: The points, (len(dims), n, J).
        mean: E[x|z] at each, (len(dims), n, *data_shape).
        dims: The dimensions, counted from 0.
        levels: The probabilities whose quantiles the values are, (n,).
        scale: The distribution of these quantiles: prior or aggregate.
    """

    z: Float32Array
    mean: DataArray
    dims: Int64Array
    levels: Float64Array
    scale: str


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ExamplesElbo:
    """
    The distribution of the ELBO over rows held out of training, in nats.

    Attributes:
        quantiles: At 0, 1, ..., 100 percent, (101,).
        n: How many rows were scored.
        split: The split that they are from.
        binarization: How they were made binary.
        n_samples: K.
    """

    quantiles: Float64Array
    n: int
    split: str
    binarization: str
    n_samples: int | None


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ExamplesResult:
    """
    Example rows that were held out of training.

    Attributes:
        x: As the model takes them, (n, *data_shape), n <= 64; n is 0 if there are none.
        labels: Their classes, (n,), or None if they have none.
        elbo: The ELBO of held-out rows, or None if the checkpoint does not have it.
    """

    x: DataArray
    labels: Int64Array | None
    elbo: ExamplesElbo | None


@final
@dataclass(frozen=True, kw_only=True)
class ModelLimits:
    """The largest values that one request may have."""

    max_body_bytes: int
    max_rows: int
    max_n_samples: int
    max_output_values: int
    max_work: int
    max_analysis_rows: int
    max_draws: int
    max_analysis_work: int


@final
@dataclass(frozen=True, kw_only=True)
class ModelLikelihood:
    """The family of p(x|z), its support, and the range of x where x is bounded."""

    kind: str
    support: str
    value_range: tuple[float, float] | None


@final
@dataclass(frozen=True, kw_only=True)
class ModelResult:
    """
    What the service serves.

    Attributes:
        version: The start of `sha256`, the hash of the checkpoint's manifest.
        columns: The names of the values of a row, or None if they have none.
        document: All of `GET /model`: figures, compute, provenance and more.
    """

    name: str
    version: str
    sha256: str
    data_shape: tuple[int, ...]
    latent_dim: int
    likelihood: ModelLikelihood
    columns: tuple[str, ...] | None
    units: str
    limits: ModelLimits
    document: Mapping[str, Any] = field(repr=False, compare=False)

    def frame(
        self, rows: NDArray[Any], make: Callable[[dict[str, Any]], _Frame]
    ) -> _Frame:
        """
        Return rows of data, (..., D), as a data frame with the names of the columns.

        Args:
            make: Makes a frame of columns by name: `pandas.DataFrame`,
                `polars.DataFrame`, `pyarrow.table`. A column is an array of numbers,
                or a list of categories, None where missing.

        Raises:
            ValueError: The columns have no names, or the rows have other ones.
        """
        return frames.from_rows(rows, self.columns, make, self.categories)

    @property
    def column_units(self) -> tuple[str | None, ...] | None:
        """The units of the columns, such as kg; None if the training's had none."""
        found = self.document.get("column_units")
        return None if found is None else tuple(found)

    @property
    def categories(self) -> frames.Categories | None:
        """The categories of each column of a table of mixed kinds, None for numbers."""
        return cells.categories_of(self.document.get("table"))

    @property
    def levels(self) -> tuple[str, ...]:
        """
        The categories of a table without an order, as `column=category`.

        They are the columns of `probabilities` of `decode`.
        """
        return cells.levels_of(self.document.get("table"))

    @property
    def left_out(self) -> tuple[str, ...]:
        """The columns that training left out; frames may have them."""
        table = self.document.get("table") or {"left_out": ()}
        return tuple(column["name"] for column in table["left_out"])
