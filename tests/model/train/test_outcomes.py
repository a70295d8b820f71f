"""Runs that are built to fail say so at the end, by a line and the exit status."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from model import checkpoint
from model.train.command import main
from tests.model.train.runs import write_table


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    said: list[str]
    card: str


def outcome(
    data: Path, options: str, capsys: pytest.CaptureFixture[str], *more: str
) -> Outcome:
    """Train, and return what a user sees."""
    out = data.with_suffix("")
    fixed = ["--threads", "1", "--data", str(data), "--out", str(out)]
    status = main([*fixed, *options.split(), *more])
    card = (out / "README.md").read_text() if out.exists() else ""
    return Outcome(status, capsys.readouterr().err.splitlines(), card)


def verdict(found: Outcome) -> str:
    """Return the first line of the verdict in the card."""
    text = found.card.partition("## Verdict\n\n- ")[2]
    return text.partition("\n")[0]


def write_noise(path: Path, *, n: int, d: int) -> Path:
    """Write independent columns as an .npy file."""
    np.save(path, np.random.default_rng(0).standard_normal((n, d)))
    return path


SMALL = "--preset paper --likelihood gaussian --hidden 16 --batch-size 20"


@pytest.mark.slow("trains")
def test_a_run_that_becomes_nan_has_diverged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1; the checkpoint has the best weights before."""
    data = write_table(tmp_path / "table.npy", n=100)

    found = outcome(
        data,
        f"{SMALL} --learning-rate 0.01 --weight-decay 250 --epochs 300 --ema None",
        capsys,
    )

    assert found.status == 1
    assert verdict(found).startswith("Diverged: the ")
    assert found.said[-1].startswith("error: the ")


@pytest.mark.slow("trains")
def test_a_bound_that_is_finite_and_absurd_has_diverged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A KL of millions is published, with a status that is not zero."""
    data = write_table(tmp_path / "table.npy", n=100)

    found = outcome(data, f"{SMALL} --learning-rate 2 --epochs 2 --ema None", capsys)

    assert found.status == 3
    assert verdict(found).startswith("Diverged: the validation ELBO of the ")
    assert "No posterior collapse" not in found.card
    assert verdict(found) in found.said


@pytest.mark.slow("trains")
def test_a_run_whose_latents_follow_the_prior_has_collapsed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a KL that costs 50 times, z says nothing about x."""
    data = write_table(tmp_path / "table.npy", n=200)

    found = outcome(data, f"{SMALL} --latent-dim 2 --beta 50 --epochs 70", capsys)

    assert found.status == 3
    assert verdict(found).startswith("Collapsed: none of the 2 latent dimensions")
    assert verdict(found) in found.said


@pytest.mark.slow("trains")
def test_a_run_on_too_few_rows_has_overfitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On rows of noise the training rows are learned by heart."""
    data = write_noise(tmp_path / "noise.npy", n=60, d=20)

    found = outcome(
        data,
        f"{SMALL} --hidden 64 --learning-rate 1e-2 --epochs 200 --ema None",
        capsys,
    )

    assert found.status == 0
    assert verdict(found).startswith("Overfit: ")
    assert verdict(found) in found.said


@pytest.mark.slow("trains")
def test_a_run_of_one_epoch_had_too_few_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says how to go on."""
    data = write_table(tmp_path / "table.npy", n=100)

    found = outcome(data, f"{SMALL} --epochs 1", capsys)

    assert found.status == 0
    assert verdict(found) == (
        "Too few steps: 4 were taken; go on with --resume and --epochs 2."
    )
    assert verdict(found) in found.said


@pytest.mark.slow("trains")
def test_a_run_without_the_dimensions_it_needs_is_worse_than_a_gaussian(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One dimension of z cannot do what three factors do."""
    draw = np.random.default_rng(0)
    x = draw.standard_normal((600, 3)) @ draw.standard_normal((3, 8))
    np.save(tmp_path / "x.npy", x + 0.1 * draw.standard_normal(x.shape))

    found = outcome(
        tmp_path / "x.npy",
        f"{SMALL} --latent-dim 1 --epochs 40 --batch-size 60",
        capsys,
    )

    worse = [
        line for line in found.said if line.startswith("Worse than a full Gaussian")
    ]
    assert found.status == 0
    assert len(worse) == 1
    assert worse[0] in found.card


@pytest.mark.slow("trains")
def test_a_good_run_says_by_how_much_it_beats_the_baselines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a curve in the plane, with the defaults."""
    draw = np.random.default_rng(0)
    t = draw.uniform(-2, 2, 500)
    x = np.stack([t, t + t**2], axis=1) + 0.1 * draw.standard_normal((500, 2))
    np.save(tmp_path / "curve.npy", x)

    found = outcome(tmp_path / "curve.npy", "--epochs 30", capsys)

    assert found.status == 0
    assert verdict(found).startswith("Good: ")
    assert "nats above log p(x) of a full Gaussian." in found.card
    assert "Training starts as " in "\n".join(found.said)
    assert "Chosen for 400 rows of 2 values: " in found.card


@pytest.mark.slow("trains")
def test_a_finished_run_goes_on_with_more_epochs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Up to the number given, also where patience had ended it, and only once."""
    data = write_table(tmp_path / "table.npy", n=100)
    out = tmp_path / "table"
    options = f"{SMALL} --epochs 40 --patience 3 --learning-rate 1e-30"
    assert outcome(data, options, capsys).status == 0
    lines = (out / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 4  # the first is best, and three do not improve

    for _ in range(2):
        assert main(["--resume", str(out), "--epochs", "50"]) == 0

        more = (out / "metrics.jsonl").read_text().splitlines()
        assert more[:4] == lines
        assert len(more) == 7
    assert checkpoint.load(out).manifest.provenance.command[:2] == ("python", "-m")
