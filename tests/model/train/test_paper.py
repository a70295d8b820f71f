"""`--preset paper` is the network and the training of Kingma & Welling (2014)."""

from pathlib import Path

import pytest

from model import checkpoint
from model.train.command import main
from tests.model.train.runs import read_journal

# Version 0.2.0 with its defaults: --data digits --epochs 2 --threads 1.
TRAIN = [-38.1745, -31.6569]
FIGURES = {
    ("validation", "elbo"): -31.34492425382137,
    ("validation", "kl"): 2.91303082883358,
    ("test", "elbo"): -31.826425494551657,
    ("test", "kl"): 2.7992874044179916,
}


WORDS = ("--data", "digits", "--epochs", "2", "--threads", "1")


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a run with the preset."""
    out = tmp_path_factory.mktemp("paper") / "digits"
    assert main([*WORDS, "--preset", "paper", "--out", str(out)]) == 0
    return out


@pytest.mark.slow("trains")
def test_the_figures_of_the_paper_s_network_are_those_of_version_0_2(
    paper: Path,
) -> None:
    """
    The run is that of version 0.2.0, whose defaults these were.

    On the machine that measured them every bit is the same; another processor sums
    matrix products in another order, which moves the ELBO by less than 0.01 nats.
    """
    journal = [line["train"]["elbo"] for line in read_journal(paper / "metrics.jsonl")]
    assert journal == pytest.approx(TRAIN, abs=1e-2)
    found = {
        (str(figure.split), figure.name): figure.value
        for figure in checkpoint.load(paper).metrics.figures
    }
    assert {key: found[key] for key in FIGURES} == pytest.approx(FIGURES, abs=1e-2)


@pytest.mark.slow("trains")
def test_the_paper_spelled_out_is_the_same_run_to_the_bit(
    paper: Path, tmp_path: Path
) -> None:
    """The preset is nothing but its options."""
    spelled = (
        "--likelihood bernoulli --hidden 500 --activation tanh --latent-dim 20 "
        "--batch-size 100 --learning-rate 2e-3 --n-samples 1 --kl-warmup-epochs 0 "
        "--weight-decay 0 --patience 0 --validation-samples 1 --noise decoder "
        "--start random"
    )
    out = tmp_path / "spelled"

    assert main([*WORDS, *spelled.split(), "--out", str(out)]) == 0

    a, b = (path / "model.safetensors" for path in (paper, out))
    assert a.read_bytes() == b.read_bytes()
