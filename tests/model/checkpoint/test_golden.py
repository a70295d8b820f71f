"""What stored examples score is found again, and what is not the same is noticed."""

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from model import checkpoint
from model.checkpoint import CheckpointError
from model.checkpoint.golden import N_EXAMPLES, check, golden, noise
from model.checkpoint.manifest import Golden
from model.elbo import elbo
from tests.tiny import save_golden, tiny_config, tiny_vae

X = np.eye(16, dtype=np.float32)
RECORD = Golden(seed=0, n_samples=1, elbo=(-100.0, 0.0))


def test_the_record_is_the_elbo_with_its_own_noise() -> None:
    """In float64, from the record's noise alone, the same nats come out."""
    vae = tiny_vae(tiny_config("bernoulli", data_shape=(4, 4)))
    x = np.concatenate([X, X])

    record = golden(vae, x, seed=7)

    eps = torch.from_numpy(noise(record, 3)).double().transpose(0, 1)  # (K, n, J)
    wanted = elbo(deepcopy(vae).double(), torch.from_numpy(X).double(), eps=eps).bound
    assert len(record.elbo) == N_EXAMPLES == len(X)
    assert record.seed == 7
    assert record.n_samples > 1
    assert len({*record.elbo}) == N_EXAMPLES
    np.testing.assert_allclose(record.elbo, wanted, rtol=0, atol=1e-5)


def test_a_record_survives_its_file_to_the_last_bit(tmp_path: Path) -> None:
    """What is read again is what was computed."""
    vae = tiny_vae(tiny_config("gaussian", data_shape=(5,)))

    path = save_golden(tmp_path / "tiny", vae, X[:4, :5])

    assert checkpoint.load(path).manifest.golden == golden(vae, X[:4, :5], seed=0)


@pytest.mark.parametrize("sign", [-1, 1])
def test_what_differs_by_rounding_passes(sign: int) -> None:
    """1e-3 nats, and 1e-5 of the ELBO."""
    check(RECORD, np.array(RECORD.elbo) + sign * np.array([1.9e-3, 0.9e-3]))


@pytest.mark.parametrize("by", [2.1e-3, -2.1e-3, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 1])
def test_what_differs_by_more_is_refused(row: int, by: float) -> None:
    """The row is named, with what was wanted and what came."""
    found = np.array(RECORD.elbo)
    found[row] += by

    with pytest.raises(ValueError, match=f"of {RECORD.elbo[row]:g} nats for example"):
        check(RECORD, found)


def test_other_weights_are_noticed() -> None:
    """One weight a hundredth off is enough."""
    vae = tiny_vae(tiny_config("bernoulli", data_shape=(4, 4)))
    record = golden(vae, X, seed=0)
    changed = deepcopy(vae)
    next(changed.parameters()).view(-1)[0] += 0.01

    with pytest.raises(ValueError, match="nats"):
        check(record, np.array(golden(changed, X, seed=0).elbo))


@pytest.mark.parametrize(
    "change", [{"elbo": ()}, {"elbo": (np.nan,)}, {"seed": -1}, {"n_samples": 0}]
)
def test_a_record_is_bounded(change: dict[str, object]) -> None:
    """No row, no number, no draw: none of it is a record."""
    with pytest.raises(ValidationError):
        Golden(**{**RECORD.model_dump(), **change})


def test_a_record_of_more_rows_than_there_are_is_refused(tmp_path: Path) -> None:
    """The error names the manifest and both numbers."""
    vae = tiny_vae(tiny_config("bernoulli", data_shape=(4, 4)))
    path = save_golden(tmp_path / "tiny", vae, X[:3])
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["golden"]["elbo"].append(-1.0)
    (path / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(CheckpointError, match=r"golden: .* at most 3 examples, got 4"):
        checkpoint.load(path)


def test_manifests_from_before_the_record_load(tmp_path: Path) -> None:
    """Without the member there is none."""
    vae = tiny_vae(tiny_config("bernoulli", data_shape=(4, 4)))
    path = save_golden(tmp_path / "tiny", vae, X)
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["golden"]
    (path / "manifest.json").write_text(json.dumps(manifest))

    assert checkpoint.load(path).manifest.golden is None
