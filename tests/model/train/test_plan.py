"""What a run starts with, and what of it is kept."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model import data
from model.dataset_elbo import estimate_elbo
from model.train.fit import Run, fit
from model.train.options import TrainOptions
from model.train.places import Places
from model.train.plan import Plan, choose_kept, make_plan
from model.train.state import State
from tests.model.train.runs import write_table

CPU = torch.device("cpu")


def planned(
    where: Path, rows: NDArray[np.float64] | None = None, **changes: Any
) -> Plan:
    """Return the plan of a short run on rows, or on a table."""
    path = where / "table.npy"
    if rows is None:
        write_table(path, n=200, scale=100)
    else:
        np.save(path, rows)
    options = dataclasses.replace(
        TrainOptions(data=str(path), out=where / "run", epochs=3, threads=1), **changes
    )
    dataset = data.load(str(path))
    return make_plan(options, dataset, Places.of(options), ["the", "command"])


def trained(plan: Plan) -> State:
    """Train to the end."""
    state = plan.start(CPU)
    plan.places.clear()
    run = Run(
        plan.places, plan.identity, lambda: False, lambda: None, lambda line: None
    )
    fit(state, plan.prepared, plan.options, run)
    return state


def test_training_starts_with_the_density_of_the_best_baseline(tmp_path: Path) -> None:
    """Before the first step the ELBO is its log p(x), in the units of the data."""
    plan = planned(tmp_path)

    vae = plan.start(CPU).vae.eval()

    x = plan.prepared.validation
    bound = estimate_elbo(vae, torch.from_numpy(x), n_samples=2000, seed=0).bound
    best = max(float(f(x).mean()) for f in plan.comparison.baselines.values())
    assert plan.law is not None
    assert bound.mean() == pytest.approx(best, abs=0.1)
    assert bound.mean() < plan.comparison.independent(x).mean() + 5


def test_the_start_is_kept_where_training_does_not_improve_it(tmp_path: Path) -> None:
    """With a learning rate of 1e-30 there is nothing better."""
    plan = planned(tmp_path, learning_rate=1e-30)

    kept = choose_kept(plan, trained(plan))

    assert kept.epoch == 0


@pytest.mark.slow("trains")
def test_a_better_epoch_replaces_the_start(tmp_path: Path) -> None:
    """From the law of other rows there is much to improve."""
    plan = planned(tmp_path, learning_rate=0.02, start="random", epochs=20)
    state = trained(plan)
    linear = dataclasses.replace(plan.options, start="linear")
    wrong = dataclasses.replace(plan, options=linear)
    assert wrong.law is not None
    wrong.__dict__["law"] = dataclasses.replace(
        wrong.law, mean=wrong.law.mean + 3, variance=9 * wrong.law.variance
    )

    kept = choose_kept(wrong, state)

    assert kept.epoch == state.progress.best_epoch


@pytest.mark.slow("trains")
def test_a_random_start_for_uncorrelated_columns_falls_back_on_a_linear_model(
    tmp_path: Path,
) -> None:
    """Independent values have no more to learn; what is correlated has no fallback."""
    rows = np.random.default_rng(0).standard_normal((200, 3))
    plan = planned(tmp_path, rows=rows, learning_rate=1e-30)
    assert plan.options.start == "random"
    assert plan.law is None
    assert plan.fallback is not None

    assert choose_kept(plan, trained(plan)).epoch == 0

    assert planned(tmp_path, start="random").fallback is None


@pytest.mark.parametrize("noise", ["value", "model"])
def test_a_learned_noise_is_a_constant_of_the_decoder(
    tmp_path: Path, noise: Any
) -> None:
    """The same for every z; with `model`, for every value too."""
    plan = planned(tmp_path, noise=noise, learning_rate=0.02, start="random")
    state = trained(plan)

    weights = state.best

    p_x = state.model(weights).decode(torch.randn(5, 4))
    variance = p_x.variance
    assert torch.equal(variance, variance[:1].expand_as(variance))
    assert (weights["decoder.log_var.bias"] != 0).all()
    assert (len(set(variance[0].tolist())) == 1) == (noise == "model")


@pytest.mark.parametrize(
    "changes",
    [
        {"activation": "tanh"},
        {"hidden": (1,)},
        {"preset": "paper"},
        {"start": "random"},
    ],
)
def test_where_a_linear_start_cannot_be_the_start_is_random(
    tmp_path: Path, changes: Any
) -> None:
    """By itself; asked for, it is refused."""
    plan = planned(tmp_path, **{"likelihood": "gaussian", **changes})

    assert plan.law is None
    assert plan.options.start == "random"
    if "preset" not in changes and "start" not in changes:
        with pytest.raises(ValueError, match=r"^--start linear needs --network mlp"):
            planned(tmp_path, start="linear", **changes)


def test_pictures_too_large_for_a_gaussian_have_factor_analysis_alone(
    tmp_path: Path,
) -> None:
    """More columns than rows are no reason to fail."""
    draw = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", draw.integers(0, 256, (60, 16, 16, 3), dtype=np.uint8))
    options = TrainOptions(data=str(tmp_path / "x.npy"), out=tmp_path / "run")

    plan = make_plan(options, data.load(options.data), Places.of(options), [])

    assert [name.split(",")[0] for name in plan.comparison.baselines] == [
        "factor analysis"
    ]
    assert plan.options.likelihood == "gaussian"
