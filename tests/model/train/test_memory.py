"""Training on data larger than memory: what is done with all rows goes by blocks."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from model import data
from model.config import LikelihoodName
from model.data.preparation import prepare
from model.files import scratch
from model.likelihoods import LIKELIHOODS
from model.train import baselines, comparison
from model.train.comparison import compare
from model.train.likelihood_choice import choose_likelihood
from model.train.options import TrainOptions

MIB = 1 << 20


@pytest.mark.slow("makes 100 MiB of rows")
@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
def test_choices_and_baselines_need_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: LikelihoodName
) -> None:
    """Of 100 MiB of x, less than 60 are in memory at once."""
    monkeypatch.setattr(scratch, "limit", lambda: MIB)
    for module in (baselines, comparison):
        monkeypatch.setattr(module, "_MAX_VALUES", 1 << 18)
    draw = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", draw.integers(0, 256, (400_000, 8, 8), dtype=np.uint8))
    tracemalloc.start()

    dataset = data.load(str(tmp_path / "x.npy"))
    chosen = choose_likelihood(dataset, TrainOptions())
    prepared = prepare(
        dataset,
        likelihood=LIKELIHOODS[kind],
        how=None,
        standardize=kind == "gaussian",
        seed=0,
    )
    compared = compare(prepared, LIKELIHOODS[kind], floor=0.01, max_factors=2)
    log_p = compared.independent(prepared.train)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert chosen.name == "gaussian"
    assert log_p.shape == (320_000,)
    assert prepared.train.nbytes > 75 * MIB
    assert peak < 60 * MIB
