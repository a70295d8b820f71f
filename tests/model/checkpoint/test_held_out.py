"""Held-out scores and rows come back from a checkpoint as they were, or not at all."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from model import checkpoint
from model.checkpoint import CALIBRATION, EXAMPLES, CheckpointError
from model.checkpoint.held_out import (
    MAX_SCORES,
    AggregateQuantiles,
    AggregateSettings,
    Calibration,
    Examples,
    Scores,
    ScoreSettings,
    evenly,
)
from model.checkpoint.manifest import ModelMetrics, Provenance
from model.vae import VAE

Build = Callable[..., VAE]
Save = Callable[..., Path]

SETTINGS = ScoreSettings(
    split="validation", binarization="none", n_samples=16, noise_seed=0
)
SCORES = Scores(np.array([3.5, -1.0, 1 / 3]), SETTINGS)
X = np.eye(6, dtype=np.float32)[:4]
AGGREGATE = AggregateQuantiles(
    levels=np.array([0.1, 0.5, 0.75]),
    values=np.array([[-1.0, 0, 1 / 3], [0, 0, 0], [-3, 2, 7]]),
    settings=AggregateSettings(split="validation", binarization="none", n_examples=12),
)
METADATA = {"negative_elbo": SETTINGS.model_dump_json()}


@pytest.fixture
def save(tmp_path: Path, build: Build) -> Save:
    """Return a writer of checkpoints that differ in nothing but their attachments."""

    def write(**attachments: bytes) -> Path:
        names = {"calibration": CALIBRATION, "examples": EXAMPLES}
        checkpoint.save(
            tmp_path / "tiny",
            vae=build().float(),
            provenance=Provenance.here_and_now(
                seed=0,
                dataset="tiny",
                dataset_sha256=None,
                dataset_source="made up",
                command=("train",),
            ),
            metrics=ModelMetrics(figures=()),
            card="# Tiny\n",
            attachments={names[name]: content for name, content in attachments.items()},
        )
        return tmp_path / "tiny"

    return write


def test_scores_are_read_back_to_the_bit(save: Save) -> None:
    """Values in their order, and settings, of every score."""
    other = Scores(np.array([2.0]), SETTINGS.model_copy(update={"n_samples": None}))
    written = Calibration({"negative_elbo": SCORES, "regret": other})

    read = checkpoint.load(save(calibration=written.to_bytes())).calibration

    assert read is not None
    assert read.scores.keys() == {"negative_elbo", "regret"}
    for name, scores in written.scores.items():
        assert read.scores[name].values.tobytes() == scores.values.tobytes()
        assert read.scores[name].settings == scores.settings


def test_quantiles_are_read_back_to_the_bit(save: Save) -> None:
    """With their levels and settings, beside the scores."""
    written = Calibration({"negative_elbo": SCORES}, AGGREGATE)

    read = checkpoint.load(save(calibration=written.to_bytes())).calibration

    assert read is not None
    assert read.aggregate is not None
    assert read.scores.keys() == {"negative_elbo"}
    assert read.aggregate.levels.tobytes() == AGGREGATE.levels.tobytes()
    assert read.aggregate.values.tobytes() == AGGREGATE.values.tobytes()
    assert read.aggregate.settings == AGGREGATE.settings


def test_a_calibration_from_before_has_no_quantiles(save: Save) -> None:
    """A file of scores alone loads as it did."""
    content = save_tensors({"negative_elbo": SCORES.values}, METADATA)

    read = checkpoint.load(save(calibration=content)).calibration

    assert read is not None
    assert read.aggregate is None
    assert read.scores["negative_elbo"].settings == SETTINGS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"aggregate": None}, "expected aggregate with aggregate_levels and settings"),
        ({"aggregate_levels": None}, "with aggregate_levels and settings"),
        (
            {"aggregate": np.zeros((2, 3))},
            r"aggregate: expected \[3, 3\], got \[2, 3\]",
        ),
        (
            {"aggregate": np.zeros((3, 4))},
            r"aggregate: expected \[3, 3\], got \[3, 4\]",
        ),
        ({"aggregate": np.zeros(3)}, r"aggregate: expected float64, 2 axes"),
        ({"aggregate": np.array(1.0)}, r"aggregate: expected float64, 2 axes"),
        ({"aggregate": np.full((3, 3), np.inf)}, "aggregate: expected finite values"),
        ({"aggregate": -AGGREGATE.values}, "aggregate: expected quantiles that never"),
        ({"aggregate_levels": np.array([0.1, 0.1, 0.2])}, "ascending in"),
        ({"aggregate_levels": np.array([0.0, 0.1, 0.2])}, "ascending in"),
        ({"aggregate_levels": np.array([0.1, 0.2, 1.0])}, "ascending in"),
    ],
)
def test_quantiles_with_a_fault_are_refused(
    save: Save, changes: dict[str, Any], message: str
) -> None:
    """The message names file, array, what was wanted and what came."""
    tensors = {
        "negative_elbo": SCORES.values,
        "aggregate": AGGREGATE.values,
        "aggregate_levels": AGGREGATE.levels,
        **changes,
    }
    metadata = {**METADATA, "aggregate": AGGREGATE.settings.model_dump_json()}
    kept = {name: values for name, values in tensors.items() if values is not None}

    with pytest.raises(CheckpointError, match=rf"{CALIBRATION}: .*{message}"):
        checkpoint.load(save(calibration=save_tensors(kept, metadata)))


def test_quantiles_need_their_settings(save: Save) -> None:
    """Of which rows they are is part of them."""
    content = Calibration({"negative_elbo": SCORES}, AGGREGATE)
    tensors = load_tensors(content.to_bytes())

    for metadata, message in (
        (METADATA, "and settings"),
        ({**METADATA, "aggregate": "{}"}, "settings of aggregate: split: Field req"),
    ):
        with pytest.raises(CheckpointError, match=message):
            checkpoint.load(save(calibration=save_tensors(tensors, metadata)))


@pytest.mark.parametrize("gray", [None, 0.5 * X])
@pytest.mark.parametrize("labels", [None, np.array([3, 1, 2, 0])])
def test_examples_are_read_back_to_the_bit(
    save: Save, gray: np.ndarray[Any, Any] | None, labels: np.ndarray[Any, Any] | None
) -> None:
    """Rows with what there is beside them, and nothing else."""
    written = Examples(X, gray, labels)

    read = checkpoint.load(save(examples=written.to_bytes())).examples

    assert read is not None
    np.testing.assert_array_equal(read.x, X)
    for one, other in ((read.gray, gray), (read.labels, labels)):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            np.testing.assert_array_equal(one, other)


def test_an_older_checkpoint_has_neither(save: Save) -> None:
    """Without the files it loads, and a file that is not listed is not read."""
    path = save()
    (path / CALIBRATION).write_bytes(b"not listed")

    loaded = checkpoint.load(path)

    assert loaded.calibration is None
    assert loaded.examples is None


@pytest.mark.parametrize("name", [CALIBRATION, EXAMPLES])
def test_a_changed_bit_is_seen(save: Save, name: str) -> None:
    """Tampered scores or rows are refused, by name, for their hash."""
    path = save(
        calibration=Calibration({"negative_elbo": SCORES}).to_bytes(),
        examples=Examples(X, None, None).to_bytes(),
    )
    checkpoint.load(path)
    content = bytearray((path / name).read_bytes())
    content[-1] ^= 1
    (path / name).write_bytes(content)

    with pytest.raises(CheckpointError, match=f"{name}: expected sha256"):
        checkpoint.load(path)


@pytest.mark.parametrize("name", [CALIBRATION, EXAMPLES])
def test_a_missing_file_is_named(save: Save, name: str) -> None:
    """What the manifest lists must be there."""
    path = save(
        calibration=Calibration({"negative_elbo": SCORES}).to_bytes(),
        examples=Examples(X, None, None).to_bytes(),
    )
    (path / name).unlink()

    with pytest.raises(CheckpointError, match=f"{name}: cannot be read"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({}, METADATA, r"expected scores, .* got the scores \[\]"),
        ({"negative_elbo": np.zeros(2)}, None, "settings of"),
        ({"a": np.zeros(2)}, METADATA, r"\['a'\] and settings of \['negative_elbo'\]"),
        ({"negative_elbo": np.zeros(0)}, METADATA, r"1 to 10000 rows, got float64 \[0"),
        ({"negative_elbo": np.zeros(MAX_SCORES + 1)}, METADATA, "10001"),
        ({"negative_elbo": np.zeros(2, np.float32)}, METADATA, "got float32"),
        ({"negative_elbo": np.zeros((2, 1))}, METADATA, r"\[2, 1\]"),
        ({"negative_elbo": np.array([0, np.nan])}, METADATA, r"nan at \[1\]"),
        ({"negative_elbo": np.zeros(2)}, {"negative_elbo": "{}"}, "split: Field req"),
        ({"negative_elbo": np.zeros(2)}, {"negative_elbo": "no"}, "Invalid JSON"),
    ],
)
def test_scores_with_a_fault_are_refused(
    save: Save, tensors: dict[str, Any], metadata: dict[str, str], message: str
) -> None:
    """The message names file, score, what was wanted and what came."""
    path = save(calibration=save_tensors(tensors, metadata))

    with pytest.raises(CheckpointError, match=rf"{CALIBRATION}: .*{message}"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"grey": X}, r"expected x, grey and labels, got \['grey'\]"),
        ({"x": X, "y": X}, r"got \['x', 'y'\]"),
        ({"x": X[:, :5]}, r"x: expected \[n, 6\], got \[4, 5\]"),
        ({"x": X.astype(np.float16)}, "x: .*got float16"),
        ({"x": np.zeros((65, 6), np.float32)}, r"1 to 64 rows, got float32 \[65, 6\]"),
        (
            {"x": np.where(X > 0, np.float32(np.inf), X)},
            "x: expected finite values, got inf at",
        ),
        ({"x": X, "grey": X[:2]}, r"grey: expected \[4, 6\], got \[2, 6\]"),
        ({"x": X, "labels": np.zeros(3, np.int64)}, r"labels: expected \[4\], got"),
        ({"x": X, "labels": np.zeros(4)}, "labels: expected int64"),
    ],
)
def test_examples_with_a_fault_are_refused(
    save: Save, tensors: dict[str, Any], message: str
) -> None:
    """The message names file, array, what was wanted and what came."""
    path = save(examples=save_tensors(tensors))

    with pytest.raises(CheckpointError, match=rf"{EXAMPLES}: .*{message}"):
        checkpoint.load(path)


@pytest.mark.parametrize("name", ["calibration", "examples"])
@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"\xff" * 64])
def test_what_is_no_safetensors_file_is_refused(
    save: Save, name: str, content: bytes
) -> None:
    """An empty file, a pickle and noise."""
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        checkpoint.load(save(**{name: content}))


def test_the_manifest_covers_both_files(save: Save) -> None:
    """By the hash of their bytes, so the checkpoint's own hash changes with them."""
    content = Calibration({"negative_elbo": SCORES}).to_bytes()

    path = save(calibration=content)

    files = json.loads((path / "manifest.json").read_text())["files"]
    assert files[CALIBRATION]["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("n", "n_wanted", "rows"),
    [
        (3, 10, [0, 1, 2]),
        (10, 10, [*range(10)]),
        (10, 4, [0, 2, 5, 7]),
        (100, 1, [0]),
        (5, 0, []),
    ],
)
def test_rows_are_chosen_at_even_distances(
    n: int, n_wanted: int, rows: list[int]
) -> None:
    """All of them where there are few enough, else as many as wanted, none twice."""
    assert evenly(n, n_wanted).tolist() == rows
