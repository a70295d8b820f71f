"""What the command line offers and refuses."""

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from model.files import ReadOptions
from model.train.command import main
from model.train.options import TrainOptions

LARGEST = 2**31 - 1
POSITIVE = f"must be positive and at most {LARGEST}, got"


def test_every_option_has_its_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--help` shows each option by its flag, with what `TrainOptions` says of it."""
    monkeypatch.setenv("COLUMNS", "1000")

    with pytest.raises(SystemExit) as end:
        main(["--help"])

    shown = " ".join(re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    said = described(TrainOptions)
    assert end.value.code == 0
    assert said.keys() == {field.name for field in dataclasses.fields(TrainOptions)}
    read = described(ReadOptions)
    assert read.keys() == {field.name for field in dataclasses.fields(ReadOptions)}
    del said["reading"]  # stands for the options of a class of its own
    said |= read
    assert "--header, --no-header" in shown
    for name, words in said.items():
        flag = re.escape("--" + name.replace("_", "-"))
        assert len(words) > 10
        assert re.search(rf"{flag}\b.{{0,120}}? {re.escape(words)}", shown), name


def described(options: type) -> dict[str, str]:
    """Read the section Attributes of a docstring."""
    attributes = inspect.cleandoc(options.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", attributes, re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in entries}


def test_the_defaults_are_possible() -> None:
    """Options that are not given are accepted."""
    TrainOptions().check()


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"latent_dim": 0}, f"--latent-dim {POSITIVE} 0"),
        ({"n_samples": 0}, f"--n-samples {POSITIVE} 0"),
        ({"batch_size": -1}, f"--batch-size {POSITIVE} -1"),
        ({"batch_size": 2**31}, f"--batch-size {POSITIVE} {2**31}"),
        ({"epochs": 0}, f"--epochs {POSITIVE} 0"),
        ({"test_samples": 0}, f"--test-samples {POSITIVE} 0"),
        ({"learning_rate": 0.0}, f"--learning-rate {POSITIVE} 0.0"),
        ({"learning_rate": float("nan")}, f"--learning-rate {POSITIVE} nan"),
        ({"learning_rate": float("inf")}, f"--learning-rate {POSITIVE} inf"),
        (
            {"sigma_floor": 0.0, "likelihood": "gaussian"},
            f"--sigma-floor {POSITIVE} 0.0",
        ),
        ({"hidden": (8, 0)}, f"--hidden {POSITIVE} 0"),
        ({"channels": (-3,), "network": "conv"}, f"--channels {POSITIVE} -3"),
        ({"patience": -1}, "--patience must not be negative, got -1"),
        ({"threads": 0}, f"--threads {POSITIVE} 0"),
        (
            {"objective": "iwae", "n_samples": 1},
            "--objective iwae needs --n-samples of 2 or more, got 1",
        ),
        (
            {"objective": "dreg", "n_samples": 1},
            "--objective dreg needs --n-samples of 2 or more, got 1",
        ),
        (
            {"objective": "iwae", "n_samples": 2, "kl_warmup_epochs": 1},
            "--kl-warmup-epochs needs --objective elbo: iwae has no KL",
        ),
        ({"components": 0, "prior": "vamp"}, f"--components {POSITIVE} 0"),
        (
            {"components": 4097, "prior": "vamp"},
            "--components must be at most 4096, got 4097",
        ),
        ({"components": 5}, "--components needs --prior mixture or vamp"),
        ({"examples": 65}, "--examples must lie between 0 and 64, got 65"),
        ({"examples": -1}, "--examples must lie between 0 and 64, got -1"),
        ({"kl_warmup_epochs": -1}, "--kl-warmup-epochs must not be negative, got -1"),
        ({"weight_decay": -0.5}, "--weight-decay must not be negative, got -0.5"),
        ({"seed": -1}, "--seed must lie between 0 and 2^63 - 1, got -1"),
        (
            {"test_seed": 2**63},
            f"--test-seed must lie between 0 and 2^63 - 1, got {2**63}",
        ),
        ({"ema": 1.0}, "--ema must lie between 0 and 1, got 1.0"),
        ({"ema": 0.0}, "--ema must lie between 0 and 1, got 0.0"),
        (
            {"network": "conv", "hidden": (8, 4)},
            "--network conv takes one --hidden width, got (8, 4)",
        ),
        ({"channels": (8,)}, "--channels needs --network conv"),
        ({"beta": -1.0}, "--beta must not be negative, got -1.0"),
        ({"free_bits": -0.1}, "--free-bits must not be negative, got -0.1"),
        ({"validation_samples": 0}, f"--validation-samples {POSITIVE} 0"),
        (
            {"objective": "dreg", "n_samples": 2, "beta": 2.0},
            "--beta needs --objective elbo: dreg has no KL",
        ),
        (
            {"objective": "iwae", "n_samples": 2, "free_bits": 0.1},
            "--free-bits needs --objective elbo: iwae has no KL",
        ),
        (
            {"free_bits": 0.1, "prior": "vamp"},
            (
                "--free-bits needs --prior standard: under vamp the KL is not a sum "
                "over dimensions"
            ),
        ),
        (
            {"noise": "value", "likelihood": "bernoulli"},
            "--noise value needs --likelihood gaussian",
        ),
        (
            {"start": "linear", "likelihood": "bernoulli"},
            "--start linear needs --likelihood gaussian",
        ),
        (
            {"start": "linear", "init_from": Path("x")},
            "--start linear does not go with --init-from",
        ),
        (
            {"sigma_floor": 0.1, "likelihood": "bernoulli"},
            "--sigma-floor needs --likelihood gaussian",
        ),
        (
            {"standardize": True, "likelihood": "bernoulli"},
            "--standardize does not go with --likelihood bernoulli",
        ),
        (
            {"binarization": "static", "likelihood": "gaussian"},
            "--binarization static needs --likelihood bernoulli, got gaussian",
        ),
    ],
)
def test_an_impossible_option_is_named_with_its_value(
    options: dict[str, Any], refusal: str
) -> None:
    """One sentence: what was wanted and what came."""
    with pytest.raises(ValueError, match=f"^{re.escape(refusal)}$"):
        TrainOptions(**options).check()


@pytest.mark.parametrize(
    "options",
    [
        {"hidden": ()},
        {"prior": "vamp", "components": 4096},
        {"seed": 2**63 - 1, "test_seed": 2**63 - 1},
        {"likelihood": "gaussian", "sigma_floor": 0.5, "binarization": "none"},
        {"likelihood": "continuous_bernoulli", "standardize": True},
        {"network": "conv", "channels": (4, 4), "hidden": (8,)},
        {"ema": None, "patience": 0, "threads": 1, "kl_warmup_epochs": 0},
    ],
)
def test_the_edges_of_what_is_possible_are_accepted(options: dict[str, Any]) -> None:
    """No bound refuses too much."""
    TrainOptions(**options).check()
