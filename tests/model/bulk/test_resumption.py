"""A run that was stopped continues where it was, and only then."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.bulk import resumption
from model.bulk.command import main
from model.bulk.job import BulkJob
from model.bulk.operations import ComputedRows
from model.bulk.options import BulkEncodeOptions
from model.bulk.output import OutputFile, OutputInUseError, header, layouts
from model.bulk.progress import RowProgress
from model.bulk.run import Blocks, BlockWork
from tests.model.bulk.commands import engine
from tests.tiny import save_tiny, tiny_config, tiny_vae
from tests.warm_start import ROOT, WarmPopen

SECONDS = 120
BLOCK = 2048
N = 2 * BLOCK + 100
MARK = 12345.0  # in rows that are done: computed again, they would have other values


@dataclass(frozen=True)
class Stopped:
    """An encoding of which the first block is done."""

    model: Path
    x: Path
    out: Path

    @property
    def partial(self) -> Path:
        """The output under its temporary name."""
        return self.out.with_name(f"{self.out.name}.partial")

    @property
    def sidecar(self) -> Path:
        """What is known of it."""
        return self.out.with_name(f"{self.out.name}.partial.json")

    def run(self, *words: str) -> int:
        """Give the command again."""
        named = [str(self.model), str(self.x), "--out", str(self.out)]
        return main(["encode", *named, *words])

    @property
    def was_continued(self) -> bool:
        """Whether the first block was left as it was, and the others were computed."""
        mu = np.load(self.out)
        assert (mu[BLOCK:] != MARK).all()
        return bool((mu[:BLOCK] == MARK).all())


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of which each run has a copy."""
    config = tiny_config("continuous_bernoulli", data_shape=(4, 4))
    return save_tiny(tmp_path_factory.mktemp("original") / "model", tiny_vae(config))


@pytest.fixture
def stopped(tmp_path: Path, original: Path) -> Stopped:
    """Return a run that was stopped after its first block."""
    model = shutil.copytree(original, tmp_path / "model")
    x, out = tmp_path / "x.npy", tmp_path / "mu.npy"
    np.save(x, np.random.default_rng(1).random((N, 16), dtype=np.float32))
    options = BulkEncodeOptions(checkpoint=model, input=x, out=out)
    job = BulkJob.of(options, engine(original, "auto"))
    run = Stopped(model, x, out)
    with OutputFile(out, job.head) as output:
        assert job.done_before(output, run.sidecar) == set()
        output.write(job.arrays[0], 0, np.full((BLOCK, 3), MARK, np.float32))
        resumption.write(run.sidecar, job.identity, {0})
    return run


def test_the_same_command_continues(
    stopped: Stopped, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the rows that are missing are computed; the number of threads may differ."""
    assert stopped.run("--threads", "2") == 0

    assert stopped.was_continued
    assert f"continues after 2,048 of {N:,} rows" in capsys.readouterr().err
    assert not stopped.partial.exists()
    assert not stopped.sidecar.exists()


def other_checkpoint(stopped: Stopped) -> None:
    """Replace the checkpoint."""
    config = tiny_config("continuous_bernoulli", data_shape=(4, 4))
    save_tiny(stopped.model, tiny_vae(config, seed=2))


def other_input(stopped: Stopped) -> None:
    """Write the input anew, with the same size."""
    np.save(stopped.x, np.load(stopped.x)[::-1])
    os.utime(stopped.x, ns=(0, 0))


def no_sidecar(stopped: Stopped) -> None:
    """Remove the sidecar."""
    stopped.sidecar.unlink()


def damaged_sidecar(stopped: Stopped) -> None:
    """Cut the sidecar."""
    stopped.sidecar.write_bytes(stopped.sidecar.read_bytes()[:-9])


def shorter(stopped: Stopped) -> None:
    """Cut the partial file."""
    os.truncate(stopped.partial, 4000)


def other_software(stopped: Stopped) -> None:
    """Have the sidecar say that another version of a library computed."""
    text = stopped.sidecar.read_text()
    stopped.sidecar.write_text(text.replace('"torch":"', '"torch":"0.'))


CHANGES = {
    other_checkpoint: "the checkpoint was ",
    other_input: "the input has changed",
    no_sidecar: "there is no mu.npy.partial.json",
    damaged_sidecar: "mu.npy.partial.json cannot be read",
    shorter: "the partial file is damaged",
    other_software: "it was computed by other software",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_any_other_run_starts_anew_and_says_why(
    stopped: Stopped, capsys: pytest.CaptureFixture[str], change: Any
) -> None:
    """Rows of two checkpoints, inputs or versions never share a file."""
    change(stopped)

    assert stopped.run() == 0

    assert not stopped.was_continued
    assert f"starts anew: {CHANGES[change]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--dtype", "float16"], "--dtype was None"),
        (["--array", "log_var"], "--array was None"),
        (["--backend", "torch"], "it was computed by other software"),
        (["--rows", f"0:{N - 1}"], f"--rows was 0:{N}"),
    ],
)
def test_other_options_start_anew(
    stopped: Stopped,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    why: str,
) -> None:
    """Those that change the bits."""
    assert stopped.run(*words) == 0

    assert not stopped.was_continued
    assert f"starts anew: {why}" in capsys.readouterr().err


@pytest.mark.parametrize("was_published", [False, True])
def test_a_run_that_started_anew_and_was_killed_leaves_nothing_of_an_earlier_one(
    stopped: Stopped, *, was_published: bool
) -> None:
    """Its rows are not those that the sidecar of the earlier run says are done."""
    if was_published:  # and the sidecar was still there when that run was killed
        stopped.partial.unlink()
    options = BulkEncodeOptions(
        checkpoint=stopped.model, input=stopped.x, out=stopped.out, array="log_var"
    )
    job = BulkJob.of(options, engine(stopped.model, "auto"))
    with OutputFile(stopped.out, job.head) as output:
        job.done_before(output, stopped.sidecar)  # killed before it saves anything

    assert stopped.run() == 0

    found = np.load(stopped.out)
    stopped.out.unlink()
    assert stopped.run() == 0
    assert np.load(stopped.out).tobytes() == found.tobytes()


def test_two_runs_do_not_write_one_file(
    stopped: Stopped, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second is refused as long as the first one runs."""
    with OutputFile(stopped.out, b""):
        assert stopped.run() == 2

    assert "another process is writing" in capsys.readouterr().err
    assert stopped.run() == 0
    assert stopped.was_continued


def test_a_lock_on_a_file_that_was_renamed_is_of_no_use(tmp_path: Path) -> None:
    """A run that ends meanwhile takes its file along; the next one makes its own."""
    out = tmp_path / "o.npy"
    with OutputFile(out, b"head") as output:
        output.clear(4)
        output.publish()
        with OutputFile(out, b"head") as other:
            assert other.size == 0

    assert out.read_bytes() == b"head"
    with pytest.raises(OutputInUseError), OutputFile(out, b""), OutputFile(out, b""):
        pass


class Counted:
    """Rows that are their own numbers; block 2 stops the run as Control-C does."""

    block_rows = 10
    may_be_missing = ()
    n_rows = 45

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error

    def pieces(self, rows: slice) -> Iterator[ComputedRows]:
        """Yield a block in two pieces."""
        for start in (rows.start, rows.start + 2):
            if rows.start == 20 and start > 20:
                raise self._error("row 22")
            stop = min(start + 2, rows.stop) if start == rows.start else rows.stop
            values: NDArray[np.float64] = np.arange(start, stop, dtype=np.float64)
            yield ComputedRows(start, {"row": values})

    def example(self, row: int) -> str:
        """Name a row."""
        return f"row {row}"


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_what_is_marked_as_done_is_written(
    tmp_path: Path, error: type[BaseException]
) -> None:
    """Whatever ends a run, its state is saved, and the rest can be computed later."""
    operation, blocks = Counted(error), Blocks(range(5, 45), 10)
    layout = layouts({"row": np.zeros(1)}, None, 40)
    head = header(".npy", layout, 40, {})
    saved: list[Collection[int]] = []
    with OutputFile(tmp_path / "o.npy", head) as output:
        output.clear(len(head) + 40 * 8)
        work = BlockWork(operation, blocks, output, layout)
        progress = RowProgress("o.npy", total=40, done=0)
        with pytest.raises(error):
            work.run((), n_threads=2, progress=progress, save=saved.append)
        first = np.load(output.partial)
        for number in saved[-1]:
            rows = blocks.part(number)
            np.testing.assert_array_equal(
                first[rows.start - 5 : rows.stop - 5], np.arange(rows.start, rows.stop)
            )
    assert set(saved[-1]) <= {0, 1, 3, 4}


def test_blocks_are_cut_at_the_same_rows_whatever_the_shard() -> None:
    """At multiples of their size; the first and the last may be short."""
    blocks = Blocks(range(5, 45), 10)

    parts = [blocks.part(number) for number in blocks.numbers]

    assert [(part.start, part.stop) for part in parts] == [
        (5, 10),
        (10, 20),
        (20, 30),
        (30, 40),
        (40, 45),
    ]
    assert sum(map(blocks.n_rows, blocks.numbers)) == 40


def test_a_folder_is_another_one_if_a_file_changes(tmp_path: Path) -> None:
    """By name, size or time."""
    (tmp_path / "a").write_bytes(b"1")
    before = resumption.InputIdentity.of(tmp_path)

    os.utime(tmp_path / "a", ns=(0, 0))
    touched = resumption.InputIdentity.of(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")

    assert len({before.changed, touched.changed}) == 2
    assert resumption.InputIdentity.of(tmp_path).changed != touched.changed


def test_ranges_of_blocks_are_short(tmp_path: Path) -> None:
    """The sidecar of a long run is small, and read as it was written."""
    identity = resumption.Identity(
        checkpoint="c", input=None, options={}, software={}, block_rows=1
    )
    done = {*range(10_000), 10_001, *range(20_000, 30_000)}

    resumption.write(tmp_path / "s.json", identity, done)

    found = resumption.read(tmp_path / "s.json")
    assert isinstance(found, resumption.Sidecar)
    assert found.blocks() == done
    assert (tmp_path / "s.json").stat().st_size < 300


@pytest.mark.slow("starts a process")
def test_sigterm_ends_a_run_that_can_continue(stopped: Stopped) -> None:
    """As a cluster ends it: status 130, and the next run has the bits of one run."""
    np.save(stopped.x, np.random.default_rng(2).random((400_000, 16), np.float32))
    command = ["encode", stopped.model, stopped.x, "--out", stopped.out]
    with WarmPopen(
        [sys.executable, "-m", "model.bulk", *map(str, command)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        line = running.stderr.readline()  # computing begins
        running.send_signal(signal.SIGTERM)
        rest = running.stderr.read()
        running.wait(SECONDS)

    assert line == "starts anew: the input has changed\n"
    if running.returncode:
        assert rest == "error: interrupted; the same command continues\n"
        assert running.returncode == 130
    assert stopped.run("--threads", "1") == 0
    found = np.load(stopped.out)
    stopped.out.unlink()
    assert stopped.run() == 0
    assert np.load(stopped.out).tobytes() == found.tobytes()
