"""Two processes never train into one directory, and a lock dies with its process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model.train.command import main
from model.train.run_lock import RunInUseError, RunLock
from tests.model.train.runs import SMALL, read_journal, write_images
from tests.warm_start import ROOT, WarmPopen

_HOLD = """
import sys
from pathlib import Path
from model.train.run_lock import RunLock
with RunLock(Path(sys.argv[1])) as lock:
    lock.take()
    print("taken", flush=True)
    sys.stdin.read()
"""


def holder(directory: Path) -> subprocess.Popen[str]:
    """Start a process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(directory)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "taken\n"
    return process


@pytest.mark.slow("trains in processes of their own")
def test_the_second_process_is_told_the_first(tmp_path: Path) -> None:
    """By its process id; after SIGKILL of the first, the lock is free."""
    with holder(tmp_path / "run") as process:
        with RunLock(tmp_path / "run") as lock, pytest.raises(RunInUseError) as refusal:
            lock.take()
        process.kill()

    assert str(refusal.value) == (
        f"{tmp_path / 'run'} is in use by process {process.pid}: wait for its end, or "
        "give another --out"
    )
    assert process.returncode == -signal.SIGKILL
    with RunLock(tmp_path / "run") as lock:
        lock.take()
        lock.take()  # once is enough
        assert (tmp_path / "run" / "lock").read_text().startswith(f"{os.getpid()} ")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("12 elsewhere\n", "process 12 on 'elsewhere'"),
        ("", "another process"),
        ("\x1b[31m 7\n", "another process"),
    ],
)
def test_a_holder_elsewhere_is_named_as_far_as_it_is_known(
    tmp_path: Path, written: str, words: str
) -> None:
    """In another container, process ids are others."""
    with RunLock(tmp_path) as first:
        first.take()
        (tmp_path / "lock").write_text(written)

        with RunLock(tmp_path) as second, pytest.raises(RunInUseError, match=words):
            second.take()


def test_where_there_are_no_locks_one_trains_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that has none does not keep anybody from training."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError("No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)

    with RunLock(tmp_path) as lock:
        lock.take()


@pytest.mark.slow("trains in processes of their own")
@pytest.mark.parametrize("arguments", [["--overwrite"], [], ["--resume"]])
def test_a_second_run_is_refused_and_disturbs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """One line and status 2, whether it is new, replaces or resumes."""
    data, out = write_images(tmp_path / "images.npy"), tmp_path / "run"
    command = ["--data", str(data), "--out", str(out), *SMALL, "--epochs", "2"]
    assert main(command) == 0
    run = tmp_path / "run.training"
    before = {path: path.read_bytes() for path in run.iterdir() if path.name != "lock"}
    capsys.readouterr()
    again = (
        ["--resume", str(out)] if arguments == ["--resume"] else [*command, *arguments]
    )

    with holder(run) as process:
        status = main(again)
        process.kill()

    assert status == 2
    assert capsys.readouterr().err == (
        f"error: {run} is in use by process {process.pid}: wait for its end, or give "
        "another --out\n"
    )
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.slow("trains in processes of their own")
def test_of_two_new_runs_at_once_one_trains(tmp_path: Path) -> None:
    """They find nothing there, both; the journal is of one of them."""
    data = write_images(tmp_path / "images.npy")
    command = [sys.executable, "-m", "model.train", "--data", str(data), *SMALL]
    command += ["--out", str(tmp_path / "run"), "--epochs", "30"]
    runs = [
        WarmPopen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [run.communicate()[1] for run in runs]

    assert sorted(run.returncode for run in runs) == [0, 2]
    [refused] = [text for text, run in zip(said, runs, strict=True) if run.returncode]
    last = refused.splitlines()[-1]
    assert " is in use by process " in last or " already exists: " in last
    journal = read_journal(tmp_path / "run.training" / "metrics.jsonl")
    assert [line["epoch"] for line in journal] == [*range(1, 31)]
