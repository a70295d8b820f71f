"""The schemas of a checkpoint's `manifest.json` and `metrics.json`."""

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Literal, Self

from pydantic import Field

from model.config import FormatVersion
from model.data_config import Binarization
from model.noise import MAX_SEED
from model.section import Section

SplitName = Literal["train", "validation", "test"]
# Nats a cell by which the model of a column has to be better than its marginal.
LITTLE = 0.01
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class FileEntry(Section):
    """One file of the checkpoint."""

    sha256: Sha256
    size: Annotated[int, Field(ge=0)]


class Provenance(Section):
    """
    Where a checkpoint comes from.

    Attributes:
        created: UTC, ISO 8601.
        libraries: Versions of what computed the weights.
        dataset_sha256: Hash of the arrays of all splits.
        command: The words of the command that made it.
        parent_sha256: Of the checkpoint whose weights training started from; null where
            it started afresh, and in older checkpoints.
    """

    created: str
    libraries: dict[str, str]
    seed: int
    dataset: str
    dataset_sha256: Sha256 | None
    dataset_source: str
    command: tuple[str, ...]
    parent_sha256: Sha256 | None = None

    @classmethod
    def here_and_now(
        cls,
        *,
        seed: int,
        dataset: str,
        dataset_sha256: str | None,
        dataset_source: str,
        command: tuple[str, ...],
        parent_sha256: str | None = None,
    ) -> Self:
        """Fill in time and versions."""
        return cls(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            libraries={
                "python": platform.python_version(),
                **{name: version(name) for name in ("torch", "numpy", "safetensors")},
            },
            seed=seed,
            dataset=dataset,
            dataset_sha256=dataset_sha256,
            dataset_source=dataset_source,
            command=command,
            parent_sha256=parent_sha256,
        )


class Golden(Section):
    """
    The ELBO of stored examples, which a server computes again as a check.

    Attributes:
        seed: Of the latent noise, which is drawn in row order as in `/elbo`.
        n_samples: K, the draws of z per example.
        elbo: Of the first rows of `examples.safetensors`, in nats.
    """

    seed: Annotated[int, Field(ge=0, le=MAX_SEED)]
    n_samples: Annotated[int, Field(ge=1, le=128)]
    elbo: Annotated[tuple[float, ...], Field(min_length=1, max_length=64)]


class Manifest(Section):
    """
    The list of files with their hashes, and their provenance.

    Attributes:
        golden: Null in checkpoints without examples, and in older checkpoints.
    """

    format_version: FormatVersion
    files: dict[str, FileEntry]
    provenance: Provenance
    golden: Golden | None = None


class Figure(Section):
    """
    One measured number, with all it takes to measure it again.

    Attributes:
        name: `elbo`, `log_likelihood`, `kl` (nats per example), `active_units`, or
            `amortization_gap`, the gain of refinement (nats per example).
        value: The mean over the examples, or a count of dimensions.
        units: The unit of the value.
        split: Which rows of the data the examples are.
        n_examples: How many examples it was measured on.
        binarization: How gray values were made 0 or 1.
        n_samples: K, the draws of z per example; null where there is no draw.
        noise_seed: Seed of the evaluation's noise; null where there is none.
        n_seeds: How many training runs the value is a mean of.
        spread: Standard deviation over those runs; null for a single run.
        standard_error: Of the mean over the split's examples; null for a count.
    """

    name: str
    value: float
    units: Literal["nats", "dimensions"]
    split: SplitName
    n_examples: int
    binarization: Binarization
    n_samples: int | None
    noise_seed: int | None
    n_seeds: int
    spread: float | None
    standard_error: float | None


class LatentUse(Section):
    """
    What the latents are used for, with all it takes to measure it again; in nats.

    Attributes:
        verdict: Whether the posterior has collapsed, in words.
        kl_per_dim: Mean of KL(q(z_j|x) || p(z_j)) over the examples, J of them; null
            where p(z) is a mixture, in which the KL is no sum over dimensions.
        active: Which dimensions are active units (Burda et al. 2016), J of them.
        mutual_information: I_q(x; z), at most log `n_examples`.
        mutual_information_standard_error: Its standard error.
        kl_to_prior: KL of the mixture of all q(z|x) from the prior; the sum of both
            estimates the mean KL of q(z|x) from it (Hoffman & Johnson 2016).
        kl_to_prior_standard_error: Its standard error.
        split: Which rows of the data the examples are.
        n_examples: How many examples it was measured on.
        binarization: How gray values were made 0 or 1.
        noise_seed: Seed of the noise, one draw of z per example.
    """

    verdict: str
    kl_per_dim: tuple[float, ...] | None
    active: tuple[bool, ...]
    mutual_information: float
    mutual_information_standard_error: float | None
    kl_to_prior: float
    kl_to_prior_standard_error: float | None
    split: SplitName
    n_examples: int
    binarization: Binarization
    noise_seed: int


class BaselineFigure(Section):
    """
    The ELBO next to log p(x) of a simple model, on the same examples, in nats.

    Attributes:
        name: `full Gaussian`, `factor analysis, 3 factors`, or `independent values`.
        log_p_x: Of the simple model; mean over the examples.
        elbo_difference: ELBO minus log p(x) of the simple model; mean over the
            examples.
        standard_error: Of that mean; null for a single example.
    """

    name: str
    log_p_x: float
    elbo_difference: float
    standard_error: float | None
    split: SplitName
    n_examples: int
    binarization: Binarization


class ColumnFit(Section):
    """
    How well a column of a table is described, in nats per known cell, on validation.

    Attributes:
        marginal: Mean of log p(cell) under the column's marginal.
        model: Mean of log p(cell|z) for z from q(z|x), of a row that has the cell.
        n_known: The number of known cells.
    """

    name: str
    marginal: float
    model: float
    n_known: int

    @property
    def is_at_marginal(self) -> bool:
        """Whether z says next to nothing about the column."""
        return self.model - self.marginal < LITTLE


class ModelMetrics(Section):
    """
    The figures of the model card.

    Attributes:
        latent_use: Null in older checkpoints.
        baselines: Empty in older checkpoints, and for networks trained elsewhere.
        columns: Of a table of mixed columns; null for other data.
    """

    figures: tuple[Figure, ...]
    latent_use: LatentUse | None = None
    baselines: tuple[BaselineFigure, ...] = ()
    columns: tuple[ColumnFit, ...] | None = None
