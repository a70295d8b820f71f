"""
Held-out data in a checkpoint: scores and quantiles, and example rows.

Both are optional safetensors files of a checkpoint, listed with their hashes in its
manifest. This module encodes and decodes them; `store` reads and verifies the bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from model.checkpoint.manifest import SplitName
from model.config import Config
from model.data_config import Binarization
from model.section import Section, first_fault

MAX_SCORES = 10_000
MAX_LEVELS, MAX_DIMS = 4096, 1 << 20
MAX_EXAMPLES = 64
MAX_EXAMPLE_BYTES = 16 << 20

_X, _GRAY, _LABELS = "x", "grey", "labels"  # names of tensors in the file
_AGGREGATE, _LEVELS = "aggregate", "aggregate_levels"

_Settings = TypeVar("_Settings", bound=Section)


class ScoreSettings(Section):
    """
    The settings for scoring another row in the same way as the held-out rows.

    Attributes:
        split: The split that the rows belong to.
        binarization: How the rows were binarized.
        n_samples: K, the draws of z per example; null if there are no draws.
        noise_seed: Of the latent noise, drawn in row order; null where there is none.
    """

    split: SplitName
    binarization: Binarization
    n_samples: int | None = Field(ge=1)
    noise_seed: int | None = Field(ge=0)


@final
@dataclass(frozen=True, eq=False)
class Scores:
    """
    Scores of held-out rows in nats; a higher score is more unusual.

    Attributes:
        values: In the order of the rows, (n,), 1 <= n <= 10,000.
    """

    values: NDArray[np.float64]
    settings: ScoreSettings


class AggregateSettings(Section):
    """The rows that an aggregate posterior was estimated from."""

    split: SplitName
    binarization: Binarization
    n_examples: int = Field(ge=1)


@final
@dataclass(frozen=True, eq=False)
class AggregateQuantiles:
    """
    Quantiles of the aggregate posterior, q(z_j) = mean_n q(z_j|x_n), of held-out rows.

    Attributes:
        levels: Probabilities in (0, 1), ascending, (Q,), 2 <= Q <= 4096.
        values: Of each dimension at these levels, non-decreasing, (J, Q).
    """

    levels: NDArray[np.float64]
    values: NDArray[np.float64]
    settings: AggregateSettings

    @classmethod
    def take_from(
        cls, tensors: dict[str, NDArray[Any]], metadata: dict[str, str]
    ) -> Self | None:
        """
        Remove the quantiles from the content of a file and return them, if present.

        Raises:
            ValueError: An array is invalid; the message names it.
        """
        if not {_AGGREGATE, _LEVELS} & tensors.keys():
            return None
        values, levels = tensors.pop(_AGGREGATE, None), tensors.pop(_LEVELS, None)
        settings = metadata.pop(_AGGREGATE, None)
        if values is None or levels is None or settings is None:
            raise ValueError(f"expected {_AGGREGATE} with {_LEVELS} and settings")
        _check(_LEVELS, levels, np.float64, n_axes=1, most=MAX_LEVELS)
        _check(_AGGREGATE, values, np.float64, n_axes=2, most=MAX_DIMS)
        _check_shape(_AGGREGATE, values, (len(values), len(levels)))
        inside = len(levels) >= 2 and levels[0] > 0 and levels[-1] < 1
        if not inside or not (np.diff(levels) > 0).all():
            raise ValueError(f"{_LEVELS}: expected 2 or more, ascending in (0, 1)")
        if not (np.diff(values) >= 0).all():
            raise ValueError(f"{_AGGREGATE}: expected quantiles that never descend")
        return cls(levels, values, _settings(AggregateSettings, _AGGREGATE, settings))


@final
@dataclass(frozen=True, eq=False)
class Calibration:
    """
    The content of `calibration.safetensors`.

    Attributes:
        scores: By name; training writes `negative_elbo`.
        aggregate: None in older checkpoints.
    """

    scores: Mapping[str, Scores]
    aggregate: AggregateQuantiles | None = None

    def to_bytes(self) -> bytes:
        """Encode values as tensors and settings as metadata."""
        tensors = {name: scores.values for name, scores in self.scores.items()}
        settings: dict[str, Section] = {
            name: scores.settings for name, scores in self.scores.items()
        }
        if self.aggregate is not None:
            tensors[_AGGREGATE] = self.aggregate.values
            tensors[_LEVELS] = self.aggregate.levels
            settings[_AGGREGATE] = self.aggregate.settings
        return save(
            {name: np.ascontiguousarray(values) for name, values in tensors.items()},
            {name: section.model_dump_json() for name, section in settings.items()},
        )

    def check_for(self, config: Config) -> Self:
        """
        Check that it fits a model, and return it.

        Raises:
            ValueError: Its number of latent dimensions differs from the model's.
        """
        if self.aggregate is not None:
            values = self.aggregate.values
            _check_shape(_AGGREGATE, values, (config.latent_dim, values.shape[1]))
        return self

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """
        Decode the result of `to_bytes`.

        Raises:
            ValueError: A score is invalid; the message names it.
        """
        tensors, metadata = _read(content)
        aggregate = AggregateQuantiles.take_from(tensors, metadata)
        if not tensors or tensors.keys() != metadata.keys():
            raise ValueError(
                "expected scores, each with its settings, got the scores "
                f"{sorted(tensors)} and settings of {sorted(metadata)}"
            )
        scores = {}
        for name, values in tensors.items():
            _check(name, values, np.float64, n_axes=1, most=MAX_SCORES)
            settings = _settings(ScoreSettings, name, metadata[name])
            scores[name] = Scores(values, settings)
        return cls(scores, aggregate)


@final
@dataclass(frozen=True, eq=False)
class Examples:
    """
    Held-out rows, `examples.safetensors`.

    Attributes:
        x: As clients send it, (n, D), 1 <= n <= 64; float64 if the model standardizes,
            or of a table, with NaN for missing cells.
        gray: The same rows before binarization, (n, D); None if they were not
            binarized.
        labels: Their classes, (n,); null where the data have none.
    """

    x: NDArray[np.float32] | NDArray[np.float64]
    gray: NDArray[np.float32] | None
    labels: NDArray[np.int64] | None

    def to_bytes(self) -> bytes:
        """Encode every array as a tensor."""
        arrays = {_X: self.x, _GRAY: self.gray, _LABELS: self.labels}
        return save(
            {k: np.ascontiguousarray(v) for k, v in arrays.items() if v is not None}
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """
        Decode the result of `to_bytes`.

        Raises:
            ValueError: An array is invalid; the message names it.
        """
        tensors, _ = _read(content)
        unknown = tensors.keys() - {_X, _GRAY, _LABELS}
        if _X not in tensors or unknown:
            raise ValueError(
                f"expected {_X}, {_GRAY} and {_LABELS}, got {sorted(tensors)}"
            )
        x, gray, labels = tensors[_X], tensors.get(_GRAY), tensors.get(_LABELS)
        wide = np.float64 if x.dtype == np.float64 else np.float32
        # Missing cells are checked with the configuration.
        _check(_X, np.where(np.isnan(x), 0, x), wide, n_axes=2, most=MAX_EXAMPLES)
        if gray is not None:
            _check(_GRAY, gray, np.float32, n_axes=2, most=MAX_EXAMPLES)
            _check_shape(_GRAY, gray, x.shape)
        if labels is not None:
            _check(_LABELS, labels, np.int64, n_axes=1, most=MAX_EXAMPLES)
            _check_shape(_LABELS, labels, x.shape[:1])
        return cls(x, gray, labels)

    def check_for(self, config: Config) -> Self:
        """
        Check that they fit a model, and return them.

        Raises:
            ValueError: The rows have another length than the model's, or values are
                missing and the model is not of a table.
        """
        if config.table is None:
            _check_finite(_X, self.x)
        if self.x.shape[1] != config.data_dim:
            raise ValueError(
                f"x: expected [n, {config.data_dim}], got {list(self.x.shape)}"
            )
        return self


def evenly(n: int, n_wanted: int) -> NDArray[np.int64]:
    """Return the indices of at most `n_wanted` of n rows, evenly spaced, (m,)."""
    # A file may be sorted, so its first rows may all be of one class.
    m = min(n, n_wanted)
    return np.arange(m, dtype=np.int64) * n // max(1, m)


def _read(content: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return the tensors and the metadata of a safetensors file."""
    try:
        tensors = load(content)
    except (SafetensorError, KeyError) as error:  # KeyError: a dtype numpy lacks
        raise ValueError(f"not a safetensors file: {error}") from error
    # `load` does not return the metadata. They are in a JSON header, after 8 bytes with
    # its length.
    length = int.from_bytes(content[:8], "little")
    return tensors, json.loads(content[8 : 8 + length]).get("__metadata__", {})


def _settings(schema: type[_Settings], name: str, content: str) -> _Settings:
    try:
        return schema.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(f"settings of {name}: {first_fault(error)}") from error


def _check(
    name: str, values: NDArray[Any], dtype: type[np.generic], *, n_axes: int, most: int
) -> None:
    sound = values.dtype == dtype and values.ndim == n_axes
    if not sound or not 1 <= len(values) <= most:
        raise ValueError(
            f"{name}: expected {np.dtype(dtype)}, {n_axes} axes, 1 to {most} rows, "
            f"got {values.dtype} {list(values.shape)}"
        )
    _check_finite(name, values)


def _check_finite(name: str, values: NDArray[Any]) -> None:
    if not np.isfinite(values).all():
        index = np.argwhere(~np.isfinite(values))[0].tolist()
        raise ValueError(
            f"{name}: expected finite values, got {values[tuple(index)]} at {index}"
        )


def _check_shape(name: str, values: NDArray[Any], wanted: tuple[int, ...]) -> None:
    if values.shape != wanted:
        raise ValueError(f"{name}: expected {list(wanted)}, got {list(values.shape)}")
