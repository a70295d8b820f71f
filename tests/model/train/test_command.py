"""`python -m model.train` as a user meets it: stopped, killed, resumed, refused."""

import fcntl
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from model import checkpoint
from model.train import command
from model.train.command import main
from tests.model.train.runs import (
    SMALL,
    read_journal,
    without_speed,
    write_images,
    write_table,
)
from tests.warm_start import ROOT, WarmPopen

SECONDS = 120  # what a command may take on a busy machine
N_EPOCHS = 120
OPTIONS = (*SMALL, "--epochs", "120", "--kl-warmup-epochs", "9", "--ema", "0.9")


@dataclass(frozen=True)
class Ended:
    """A command that a signal ended."""

    out: Path
    status: int
    stderr: str


def train_until_signal(where: Path, number: signal.Signals) -> Ended:
    """
    Start a run, and send it a signal when its first epoch is in the journal.

    It cannot finish before that, however slow this test is: it writes 13 kB, and no
    more than twice the size of its pipe can be on the way.
    """
    data = write_images(where / "images.npy")
    command = [sys.executable, "-m", "model.train", "--data", str(data)]
    with WarmPopen(
        [*command, "--out", str(where / "out"), *OPTIONS],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        if sys.platform == "linux":
            fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
        deadline = threading.Timer(SECONDS, process.kill)
        deadline.start()
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("epoch 1/"):
                process.send_signal(number)
        deadline.cancel()
    return Ended(where / "out", process.returncode, "".join(lines))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of the run that is not interrupted."""
    where = tmp_path_factory.mktemp("whole")
    data = write_images(where / "images.npy")
    assert main(["--data", str(data), "--out", str(where / "out"), *OPTIONS]) == 0
    return where / "out"


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Return a run after Ctrl-C."""
    return train_until_signal(tmp_path_factory.mktemp("interrupted"), signal.SIGINT)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a directory with good and bad data."""
    write_images(tmp_path / "images.npy")
    write_table(tmp_path / "table.npy", n=40)
    x = np.full((20, 3), 0.25)
    x[4, 1] = np.nan
    np.savetxt(tmp_path / "bad.csv", x, delimiter=",")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_same_run(out: Path, wanted: Path) -> None:
    """Compare weights and journals bit for bit."""
    ours, theirs = (
        without_speed(read_journal(path / "metrics.jsonl")) for path in (out, wanted)
    )
    assert ours == theirs
    for name in ("model.safetensors", "metrics.json"):
        assert (out / name).read_bytes() == (wanted / name).read_bytes()


@pytest.mark.slow("trains in processes of their own")
def test_ctrl_c_keeps_the_best_weights_and_says_how_to_go_on(
    interrupted: Ended,
) -> None:
    """The checkpoint is whole, the status is that of an interruption."""
    loaded = checkpoint.load(interrupted.out)

    assert interrupted.status == 130
    assert "Traceback" not in interrupted.stderr
    assert interrupted.stderr.endswith(
        f"stopped; continue with: python -m model.train --resume {interrupted.out}\n"
    )
    n_epochs = len(read_journal(interrupted.out / "metrics.jsonl"))
    assert 1 <= n_epochs < N_EPOCHS
    assert loaded.config.latent_dim == 2


@pytest.mark.slow("trains in processes of their own")
def test_an_interrupted_run_does_not_look_at_the_test_set(interrupted: Ended) -> None:
    """There are figures of validation only, in the report, the metrics and the card."""
    figures = checkpoint.load(interrupted.out).metrics.figures
    card = (interrupted.out / "README.md").read_text()

    assert {figure.split for figure in figures} == {"validation"}
    assert "      test " not in interrupted.stderr
    assert "| test |" not in card
    assert "after which training was stopped before its end" in card


@pytest.mark.slow("trains in processes of their own")
def test_ctrl_c_and_resume_is_as_if_never_stopped(
    interrupted: Ended, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real command, interrupted and gone on with, ends with the same bits."""
    assert main(["--resume", str(interrupted.out)]) == 0

    assert_same_run(interrupted.out, whole)
    assert "      test elbo" in capsys.readouterr().err


@pytest.mark.slow("trains in processes of their own")
def test_kill_and_resume_is_as_if_never_killed(tmp_path: Path, whole: Path) -> None:
    """SIGKILL leaves no checkpoint and no scraps, and a state to go on from."""
    killed = train_until_signal(tmp_path, signal.SIGKILL)
    assert killed.status == -signal.SIGKILL
    assert not killed.out.exists()

    assert main(["--resume", str(killed.out)]) == 0

    assert_same_run(killed.out, whole)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("images.npy", "out", "out.training")
    }


@pytest.mark.slow("trains")
def test_a_resumed_run_keeps_the_command_it_began_with(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Going on with a complete run looks at nothing new and changes no weight."""
    before = (whole / "model.safetensors").read_bytes()
    first = checkpoint.load(whole).manifest.provenance.command

    assert main(["--resume", str(whole)]) == 0

    assert (whole / "model.safetensors").read_bytes() == before
    assert checkpoint.load(whole).manifest.provenance.command == first
    assert "\nepoch " not in capsys.readouterr().err


def failure(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail with status 2, and return its last line."""
    assert main(arguments) == 2

    shown = capsys.readouterr()
    *before, last = shown.err.splitlines()
    assert shown.out == ""
    assert len(before) <= 1  # what the data are
    assert "Traceback" not in shown.err
    assert last.startswith("error: ")
    return last.removeprefix("error: ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            "--latent-dim 0",
            "--latent-dim must be positive and at most 2147483647, got 0",
        ),
        (
            "--latent-dim 70000",
            "latent_dim of the model: Input should be less than or equal to 65536, got",
        ),
        ("--network conv --hidden 4 4", "--network conv takes one --hidden width, got"),
        ("--network conv --channels 4 4 4", "an image of 4x4 cannot be halved 3 times"),
        (
            "--data table.npy --likelihood gaussian --network conv",
            "a conv network needs image data of shape (H, W) or (H, W, C), got (4,)",
        ),
        ("--data nowhere", "'nowhere' is neither a known data set"),
        ("--data empty.csv", "empty.csv holds no rows"),
        ("--data photos", "photos holds no pictures"),
        ("--data bad.csv", "line 5 of bad.csv, column 2 holds 'nan'"),
        ("--data table.npy", "of table.npy, position "),
        ("--resume nowhere", "no run to resume: there is no nowhere.training"),
        ("--out images.npy", "images.npy already exists: give another --out, or"),
        ("--out photos/..", "--out must name a directory of its own, got photos/.."),
        ("--out images.npy/x", "images.npy/x.training: Not a directory"),
        (
            "--out images.npy --overwrite",
            "images.npy is not a checkpoint, so --overwrite does not replace it",
        ),
    ],
)
def test_a_failure_is_one_sentence(
    files: Path, capsys: pytest.CaptureFixture[str], arguments: str, sentence: str
) -> None:
    """On standard error, without a traceback, with a status that is not zero."""
    data = () if "--data" in arguments else ("--data", "images.npy")

    said = failure([*data, *SMALL[4:], *arguments.split()], capsys)

    assert sentence in said


def test_what_is_refused_leaves_nothing_behind(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No directory is made for a run that never began."""
    before = sorted(files.rglob("*"))

    failure(["--data", "bad.csv", "--out", "new/run"], capsys)
    failure(["--data", "images.npy", "--hidden", "0", "--out", "new/run"], capsys)

    assert sorted(files.rglob("*")) == before


@pytest.mark.parametrize("arguments", ["--epochs many", "--speed 3", "--network cnn"])
def test_what_is_no_option_ends_with_status_2(
    capsys: pytest.CaptureFixture[str], arguments: str
) -> None:
    """Before anything is read."""
    with pytest.raises(SystemExit) as end:
        main(arguments.split())

    assert end.value.code == 2
    assert arguments.split()[-1 if "speed" not in arguments else 0] in (
        capsys.readouterr().err
    )


def test_a_failure_of_the_compiler_is_one_sentence(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no C compiler, for instance."""

    def fail(*_: object, **__: object) -> int:
        raise torch._dynamo.exc.Unsupported("no compiler\nmore lines")

    monkeypatch.setattr(command, "train", fail)

    said = failure(["--data", "images.npy", "--compile"], capsys)

    assert said.endswith("--compile failed: no compiler")


@pytest.mark.slow("trains 120 epochs")
def test_an_option_that_contradicts_the_run_is_refused(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where it is the option's default, and what agrees is accepted."""
    resume = ["--resume", str(whole)]

    assert "began with epochs = 120, got 100" in failure(
        [*resume, "--epochs", "100"], capsys
    )
    assert "began with out = " in failure([*resume, "--out", "elsewhere"], capsys)
    assert main([*resume, "--epochs", "120", "--ema", "0.9"]) == 0


@pytest.mark.slow("trains 120 epochs")
def test_a_second_run_does_not_take_the_place_of_the_first(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --overwrite it is refused, with the ways out."""
    said = failure(["--data", "digits", "--out", str(whole)], capsys)

    assert said == (
        f"{whole} already exists: continue with --resume {whole}, give another --out, "
        "or --overwrite to replace it"
    )


@pytest.mark.slow("trains twice")
def test_overwrite_replaces_a_run(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Checkpoint, journal and state are those of the new run alone."""
    command = ["--data", "images.npy", "--out", "run", *SMALL, "--epochs"]
    assert main([*command, "3"]) == 0

    assert main([*command, "2", "--overwrite"]) == 0

    assert len(read_journal(files / "run" / "metrics.jsonl")) == 2
    assert checkpoint.load(files / "run").manifest.provenance.command[-2:] == (
        *("2", "--overwrite"),
    )


@pytest.mark.slow("trains")
def test_a_run_that_diverges_keeps_its_best_weights(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    The checkpoint is that of the best epoch before, and the sentence names the step.

    Decoupled weight decay makes the weights grow by half each step.
    """
    command = ["--data", "images.npy", "--out", "run", *SMALL, "--schedule", "constant"]

    status = main([*command, "--learning-rate", "0.01", "--weight-decay", "250"])

    *_, last = capsys.readouterr().err.splitlines()
    loaded = checkpoint.load(files / "run")
    n_epochs = len(read_journal(files / "run" / "metrics.jsonl"))
    assert status == 1
    assert last.startswith("error: the loss became ")
    assert f" in epoch {n_epochs + 1} at step " in last
    assert {figure.split for figure in loaded.metrics.figures} == {"validation"}


@pytest.mark.slow("trains twice")
def test_a_run_that_diverges_at_once_is_not_in_the_way(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to keep, so the next one needs no --overwrite."""
    command = ["--data", "images.npy", "--out", "run", *SMALL, "--epochs", "2"]

    assert main([*command, "--learning-rate", "1e9"]) == 1

    last = capsys.readouterr().err.splitlines()[-1]
    assert "in epoch 1 at step 2; try a lower --learning-rate" in last
    assert not (files / "run").exists()
    assert main(command) == 0
