"""What is not given is chosen by the data; what is given stays."""

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import data
from model.data import Dataset
from model.train.defaults import are_correlated, choose
from model.train.options import RunOptions, TrainOptions

# The options of Kingma & Welling (2014) as this project has always had them.
PAPER = {
    "hidden": (500,),
    "activation": "tanh",
    "likelihood": "bernoulli",
    "noise": "decoder",
    "start": "random",
    "latent_dim": 20,
    "n_samples": 1,
    "learning_rate": 2e-3,
    "schedule": "cosine",
    "optimizer": "adam",
    "batch_size": 100,
    "epochs": 200,
    "kl_warmup_epochs": 0,
    "beta": 1.0,
    "free_bits": 0.0,
    "weight_decay": 0.0,
    "ema": 0.999,
    "patience": 0,
    "validation_samples": 1,
    "test_samples": 16,
}


def table(where: Path, n: int, d: int) -> Dataset:
    """Return a table of real numbers."""
    np.save(where / "x.npy", np.random.default_rng(0).normal(size=(n, d)))
    return data.load(str(where / "x.npy"))


def test_the_paper_has_its_own_options(tmp_path: Path) -> None:
    """Whatever the data are."""
    options, lines = choose(TrainOptions(preset="paper"), table(tmp_path, 30, 3))

    assert {name: getattr(options, name) for name in PAPER} == PAPER
    assert lines == ()


@pytest.mark.parametrize("n", [3, 20, 150, 1000, 30_000])
@pytest.mark.parametrize("d", [1, 4, 40])
def test_a_run_is_as_long_as_its_data_need(tmp_path: Path, n: int, d: int) -> None:
    """Twenty batches an epoch or more, thousands of steps, precise validation."""
    dataset = table(tmp_path, n, d)
    n_train, n_validation = len(dataset.train.x), len(dataset.validation.x)

    options, _ = choose(TrainOptions(), dataset)

    n_steps = options.epochs * math.ceil(n_train / options.batch_size)
    assert options.batch_size <= max(1, n_train / 20)
    assert n_steps >= min(4000, 200 * n_train)
    assert n_steps < 200_000
    assert options.validation_samples * n_validation >= min(1000, 256 * n_validation)
    assert options.latent_dim == min(d, 32)
    assert 0 < options.patience < options.epochs


@pytest.mark.parametrize(
    "given",
    [
        {"hidden": (7, 8)},
        {"activation": "relu"},
        {"noise": "model"},
        {"start": "random"},
        {"latent_dim": 2},
        {"n_samples": 3},
        {"learning_rate": 0.1},
        {"batch_size": 11},
        {"epochs": 5},
        {"kl_warmup_epochs": 2},
        {"weight_decay": 0.0},
        {"patience": 0},
        {"validation_samples": 2},
        {"likelihood": "gaussian"},
        {"ema": None},
    ],
    ids=lambda given: next(iter(given)),
)
def test_what_is_given_stays(tmp_path: Path, given: dict[str, Any]) -> None:
    """With both presets, and it is not among what was chosen."""
    dataset = table(tmp_path, 60, 4)
    ((name, value),) = given.items()

    for preset in ("auto", "paper"):
        options, lines = choose(TrainOptions(preset=preset, **given), dataset)

        assert getattr(options, name) == value
        assert f"--{name.replace('_', '-')} " not in " ".join(lines)


def test_the_choice_is_said(tmp_path: Path) -> None:
    """The likelihood with its reason, and each option as it would be given."""
    options, lines = choose(TrainOptions(), table(tmp_path, 60, 4))

    assert lines[0] == "--likelihood gaussian: the values are real numbers."
    assert lines[1].startswith("Chosen for 48 rows of 4 values: --hidden 64 ")
    assert f"--epochs {options.epochs} " in lines[1]


def test_a_run_that_has_chosen_does_not_choose_again(tmp_path: Path) -> None:
    """A later version's choices do not change it."""
    options = RunOptions(preset="auto", hidden=(3,))

    assert choose(options, table(tmp_path, 60, 4)) == (options, ())


def test_every_option_of_a_run_has_a_value() -> None:
    """None stands for nothing left to choose, where None means none."""
    optional = {"data_dir", "out", "resume", "init_from", "binarization", "standardize"}
    optional |= {"validation_fraction", "test_fraction", "threads"}

    assert {f.name for f in fields(RunOptions) if f.default is None} == optional


@pytest.mark.parametrize(("d", "rate"), [(2, 4e-3), (64, 4e-3), (256, 2e-3)])
def test_wide_data_are_trained_more_slowly_from_a_linear_start(
    tmp_path: Path, d: int, rate: float
) -> None:
    """Steps that suit a few columns would throw away the start of thousands."""
    options, _ = choose(TrainOptions(), table(tmp_path, 30, d))

    assert options.learning_rate == rate


@pytest.mark.parametrize(
    ("given", "d", "hidden"),
    [
        ({}, 4, (64, 64)),
        ({}, 64, (256, 256)),
        ({}, 65, (512,)),
        ({"likelihood": "bernoulli"}, 4, (64,)),
    ],
)
def test_few_real_numbers_have_two_layers(
    tmp_path: Path, given: dict[str, Any], d: int, hidden: tuple[int, ...]
) -> None:
    """As wide as one."""
    options, _ = choose(TrainOptions(**given), table(tmp_path, 30, d))

    assert options.hidden == hidden


def mixed(where: Path, n: int, n_texts: int) -> Dataset:
    """Return a table with a number and a text, which has so many values."""
    lines = [f"{i % 70},t{i % n_texts}" for i in range(n)]
    (where / "mixed.csv").write_text("\n".join(["x,y", *lines]), encoding="utf-8")
    return data.load(str(where / "mixed.csv"), read_file=data.read_numbers_or_table)


@pytest.mark.parametrize(
    ("n", "n_texts", "hidden", "decay", "n_steps"),
    [
        (200, 3, (256, 128), 1e-4, 2_500),
        (400, 130, (512, 256), 0.1, 2_500),
        (4_000, 3, (256, 128), 1e-4, 5_000),
        pytest.param(
            *(8_000, 130, (512, 256), 0.1, 8_000),
            marks=pytest.mark.slow("reads many rows"),
        ),
    ],
)
def test_a_table_of_columns_has_options_of_its_own(
    tmp_path: Path,
    n: int,
    n_texts: int,
    hidden: tuple[int, ...],
    decay: float,
    n_steps: int,
) -> None:
    """Wide layers for many categories, more steps for many rows, and a mixture."""
    dataset = mixed(tmp_path, n, n_texts)

    options, lines = choose(TrainOptions(), dataset)

    steps_per_epoch = math.ceil(len(dataset.train.x) / options.batch_size)
    assert (options.hidden, options.weight_decay) == (hidden, decay)
    assert n_steps <= options.epochs * steps_per_epoch < n_steps + steps_per_epoch
    assert (options.prior, options.components) == ("mixture", 10)
    assert options.learning_rate == 3e-3
    assert " --prior mixture --components 10 " in lines[1]


@pytest.mark.parametrize(
    ("given", "prior", "components"),
    [
        ({"prior": "standard"}, "standard", 500),
        ({"prior": "mixture"}, "mixture", 10),
        ({"prior": "mixture", "components": 4}, "mixture", 4),
        ({"prior": "vamp"}, "vamp", 500),
        ({"free_bits": 0.1}, "standard", 500),
        ({"preset": "paper"}, "standard", 500),
    ],
)
def test_the_prior_of_a_table_can_be_given(
    tmp_path: Path, given: dict[str, Any], prior: str, components: int
) -> None:
    """Free bits need the standard prior, and the paper has no other."""
    options, _ = choose(TrainOptions(**given), mixed(tmp_path, 60, 3))

    assert (options.prior, options.components) == (prior, components)


def ring(n: int) -> np.ndarray:
    """Return points on a circle, uncorrelated but anything but independent."""
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (ring(400), False),
        (ring(400) @ [[1, 0.3], [0, 1]], True),
        (np.tile([[1.0, 0.0], [1.0, 1.0]], (40, 1)), False),  # a constant column
        (np.arange(60.0)[:, None], False),  # a single column
        (np.eye(20, 3), True),  # too few rows to tell
        (np.ones((40, 600)), True),  # too many columns to look at
    ],
)
def test_correlations_are_more_than_chance(x: np.ndarray, *, expected: bool) -> None:
    """Of float64 and float32 alike, and in any unit."""
    assert are_correlated(x) == expected
    assert are_correlated(x.astype(np.float32)) == expected
    assert are_correlated(np.ldexp(x, 900)) == expected
    assert are_correlated(np.ldexp(x, -900)) == expected


@pytest.mark.parametrize(
    ("turn", "start", "rate"),
    [(np.eye(2), "random", 2e-3), ([[1, 0.3], [0, 1]], "linear", 4e-3)],
)
def test_uncorrelated_columns_have_a_random_start(
    tmp_path: Path, turn: Any, start: str, rate: float
) -> None:
    """A linear model would have no use for z, and training would find none."""
    np.save(tmp_path / "x.npy", ring(400) @ turn)

    options, _ = choose(TrainOptions(), data.load(str(tmp_path / "x.npy")))

    assert (options.start, options.learning_rate) == (start, rate)
    assert bool(options.kl_warmup_epochs) == (start == "random")
