"""The manifest and the metrics say where a checkpoint comes from, in checked words."""

import platform
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import safetensors
import torch
from pydantic import ValidationError

from model.checkpoint.manifest import Figure, FileEntry, ModelMetrics, Provenance

FIGURE: dict[str, Any] = {
    "name": "elbo",
    "value": -98.5,
    "units": "nats",
    "split": "test",
    "n_examples": 10_000,
    "binarization": "static",
    "n_samples": 1,
    "noise_seed": 0,
    "n_seeds": 1,
    "spread": None,
    "standard_error": 0.3,
}


def test_provenance_is_of_here_and_now() -> None:
    """It holds the time in UTC and the versions of what computes."""
    provenance = Provenance.here_and_now(
        seed=3,
        dataset="digits",
        dataset_sha256="0" * 64,
        dataset_source="scikit-learn",
        command=("python", "-m", "model.train"),
    )

    created = datetime.fromisoformat(provenance.created)
    assert created.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=1)
    libraries = dict(provenance.libraries)
    # The name of the build, such as +cpu, may be missing from torch's metadata.
    assert torch.__version__.startswith(libraries.pop("torch"))
    assert libraries == {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "safetensors": safetensors.__version__,
    }
    assert (provenance.seed, provenance.dataset) == (3, "digits")
    assert provenance.command == ("python", "-m", "model.train")


def test_figures_survive_their_file() -> None:
    """Metrics that are written and read again are the same, to the last bit."""
    metrics = ModelMetrics(figures=(Figure(**FIGURE | {"value": -98.1 / 3}),))

    again = ModelMetrics.model_validate_json(metrics.model_dump_json())

    assert again == metrics


@pytest.mark.parametrize("key", FIGURE)
def test_a_figure_leaves_nothing_out(key: str) -> None:
    """Without any one of its keys a figure is refused, null though it may be."""
    left = {name: value for name, value in FIGURE.items() if name != key}

    with pytest.raises(ValidationError, match=f"{key}\n  Field required"):
        Figure(**left)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("value", float("nan")),
        ("value", float("inf")),
        ("value", "-98.5"),
        ("units", "bits"),
        ("split", "dev"),
        ("binarization", "yes"),
        ("n_examples", 1.0),
        ("beta", 1.0),
    ],
)
def test_a_figure_of_another_kind_is_refused(key: str, value: object) -> None:
    """Numbers are finite and no strings, names are from their lists, keys are known."""
    with pytest.raises(ValidationError, match=key):
        Figure(**FIGURE | {key: value})


@pytest.mark.parametrize(
    ("sha256", "size"),
    [("0" * 63, 1), ("0" * 65, 1), ("A" * 64, 1), ("0" * 64 + "\n", 1), ("0" * 64, -1)],
)
def test_a_file_entry_holds_a_hash_and_a_size(sha256: str, size: int) -> None:
    """Hashes are 64 lower-case hexadecimal digits and sizes are not negative."""
    with pytest.raises(ValidationError):
        FileEntry(sha256=sha256, size=size)
