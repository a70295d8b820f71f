"""A damaged state is refused in one line, with status 2, and trains nothing."""

import hashlib
import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from model.train import saved_state
from model.train.command import main
from model.train.options import RunOptions
from model.train.saved_state import StateError
from tests.model.train.runs import Trainer, assert_same, write_table


@dataclass
class Parts:
    """What a state file is made of, to be changed and signed anew."""

    tensors: dict[str, Tensor]
    run: Any
    progress: Any
    metadata: dict[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Write them with a hash that is right: of the file with zeros in its place."""
        hash_ = "0" * 64
        metadata = {
            "run": json.dumps(self.run),
            "progress": json.dumps(self.progress),
            "sha256": hash_,
            **self.metadata,
        }
        content = save(self.tensors, metadata)
        digest = hashlib.sha256(content).hexdigest()
        return content.replace(hash_.encode(), digest.encode(), 1)


def metadata_of(content: bytes) -> dict[str, str]:
    """Return the metadata of a safetensors file."""
    length = int.from_bytes(content[:8], "little")
    found: dict[str, str] = json.loads(content[8 : 8 + length])["__metadata__"]
    return found


def parts_of(content: bytes) -> Parts:
    """Take a state file apart."""
    metadata = metadata_of(content)
    tensors = {name: tensor.clone() for name, tensor in load(content).items()}
    return Parts(tensors, json.loads(metadata["run"]), json.loads(metadata["progress"]))


@pytest.fixture(scope="module", params=["adam", "adagrad"])
def trainer(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Trainer:
    """Return a run on standardized data that was stopped in its second epoch."""
    where = tmp_path_factory.mktemp("run")
    options = RunOptions(
        data=str(write_table(where / "table.npy", n=48)),
        out=where / "run",
        likelihood="gaussian",
        optimizer=request.param,
        hidden=(6,),
        latent_dim=2,
        batch_size=16,
        epochs=3,
        threads=1,
    )
    trainer = Trainer(options)
    trainer.fit(trainer.begin(), n_steps=4)
    return trainer


@pytest.fixture
def path(trainer: Trainer) -> Iterator[Path]:
    """Return its state file, which is in place again after the test."""
    path = trainer.places.state
    content = path.read_bytes()
    yield path
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def refusal(trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> str:
    """Resume the run as a user would; return the one line that says why not."""
    assert trainer.options.out is not None
    status = main(["--resume", str(trainer.options.out)])

    shown = capsys.readouterr()
    *before, last = shown.err.splitlines()
    assert status == 2
    assert shown.out == ""
    assert len(before) <= 1  # what the data are
    assert "Traceback" not in shown.err
    assert last.startswith(f"error: {trainer.places.state} ")
    return last


def put(value: float, name: str, index: int = 0) -> Callable[[Parts], None]:
    """Return what changes one value of a tensor."""

    def change(parts: Parts) -> None:
        parts.tensors[name].view(-1)[index] = value

    return change


def replace(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[Parts], None]:
    """Return what makes another tensor of a tensor."""

    def changed(parts: Parts) -> None:
        parts.tensors[name] = change(parts.tensors[name]).contiguous()

    return changed


def rename(old: str, new: str | None) -> Callable[[Parts], None]:
    """Return what renames a tensor, or removes it."""

    def change(parts: Parts) -> None:
        tensor = parts.tensors.pop(old)
        if new is not None:
            parts.tensors[new] = tensor

    return change


def progress(**changes: Any) -> Callable[[Parts], None]:
    """Return what changes counters."""
    return lambda parts: parts.progress.update(changes)


def run(**changes: Any) -> Callable[[Parts], None]:
    """Return what changes which run it is."""
    return lambda parts: parts.run.update(changes)


def option(name: str, value: Any) -> Callable[[Parts], None]:
    """Return what changes an option of the run."""
    return lambda parts: parts.run["options"].update({name: value})


def metadata(**changes: str) -> Callable[[Parts], None]:
    """Return what changes metadata as they are written."""
    return lambda parts: parts.metadata.update(changes)


def whole(name: str, value: Any) -> Callable[[Parts], None]:
    """Return what puts another document in the place of one."""
    return lambda parts: setattr(parts, name, value)


WEIGHT, SCALE = "encoder.torso.0.weight", "standardization.scale"
NAN, INF = float("nan"), float("inf")

SIGNED: dict[str, tuple[Callable[[Parts], object], str]] = {
    "a weight is NaN": (put(NAN, f"weights.{WEIGHT}"), "expected finite values"),
    "a weight is infinite": (put(INF, f"weights.{WEIGHT}"), "expected finite values"),
    "an average is NaN": (put(NAN, f"average.{WEIGHT}"), "expected finite values"),
    "a best weight is NaN": (put(NAN, f"best.{WEIGHT}"), "expected finite values"),
    "a scale is 0": (put(0, f"weights.{SCALE}"), "expected positive values, got 0.0"),
    "a best scale is -1": (put(-1, f"best.{SCALE}"), "expected positive values"),
    "no weight": (rename(f"weights.{WEIGHT}", None), "missing"),
    "no average": (rename(f"average.{WEIGHT}", None), "missing"),
    "no best": (rename(f"best.{WEIGHT}", None), "missing"),
    "another name": (rename(f"weights.{WEIGHT}", "weights.other"), "unknown"),
    "another kind": (rename(f"weights.{WEIGHT}", "other"), "unknown"),
    "a weight of another shape": (
        replace(f"weights.{WEIGHT}", lambda t: t.T),
        "expected torch.float32 [6, 4], got torch.float32 [4, 6]",
    ),
    "a weight of another dtype": (
        replace(f"weights.{WEIGHT}", lambda t: t.double()),
        "expected torch.float32 [6, 4], got torch.float64 [6, 4]",
    ),
    "no terms": (rename("terms", None), "missing"),
    "terms of another run": (
        replace("terms", lambda t: t[:2]),
        "terms: expected torch.float32 [3, 2], got torch.float32 [2, 2]",
    ),
    "terms are NaN": (put(NAN, "terms"), "terms: expected finite values, got nan"),
    "an index of 999": (
        lambda parts: rename(
            f"optimizer.0.{square(parts)}", f"optimizer.999.{square(parts)}"
        )(parts),
        "optimizer.999.",
    ),
    "an index of -1": (rename("optimizer.0.step", "optimizer.-1.step"), "unknown"),
    "an index that is a word": (
        rename("optimizer.0.step", "optimizer.zero.step"),
        "unknown",
    ),
    "no index": (rename("optimizer.0.step", "optimizer.step"), "unknown"),
    "no step": (rename("optimizer.3.step", None), "['optimizer.3.step'] missing"),
    "another step": (put(9999, "optimizer.0.step"), "expected 4, got 9999.0"),
    "a step of NaN": (put(NAN, "optimizer.0.step"), "expected 4, got nan"),
    "squares below 0": (
        lambda parts: put(-1, f"optimizer.0.{square(parts)}")(parts),
        "expected values of 0 or more, got -1.0",
    ),
    "squares of NaN": (
        lambda parts: put(NAN, f"optimizer.0.{square(parts)}")(parts),
        "expected values of 0 or more, got nan",
    ),
    "squares of another shape": (
        lambda parts: replace(f"optimizer.0.{square(parts)}", lambda t: t.T)(parts),
        "expected torch.float32 [6, 4], got torch.float32 [4, 6]",
    ),
    "a step of 99999": (progress(step=99999), "step: expected less than 3, got 99999"),
    "a step of -1": (progress(step=-1), "progress.step: Input should be greater"),
    "a step of a word": (progress(step="1"), "progress.step: Input should be a valid"),
    "a step of 0.5": (progress(step=0.5), "progress.step: Input should be a valid int"),
    "a step of true": (progress(step=True), "progress.step: Input should be a valid"),
    "too many updates": (progress(n_updates=5), "n_updates: expected 4, got 5"),
    "too many epochs": (progress(epoch=9), "n_updates: expected 28, got 4"),
    "a best epoch to come": (
        progress(best_epoch=2),
        "best_epoch: got 2 after 1 epochs",
    ),
    "no best epoch": (progress(best_epoch=None), "best_epoch: got None after 1 epochs"),
    "no best bound": (progress(best_bound=None), "best_bound: got None with"),
    "a best bound of NaN": (progress(best_bound=NAN), "progress.best_bound: Input"),
    "an unknown counter": (progress(beta=4), "progress.beta: Unexpected"),
    "a counter is missing": (
        lambda parts: parts.progress.pop("epoch"),
        "progress: a counter is missing",
    ),
    "progress is a list": (whole("progress", []), "progress: Input should be"),
    "progress is null": (whole("progress", None), "progress: Input should be"),
    "progress is no JSON": (metadata(progress="{"), "progress: Invalid JSON"),
    "the run is a list": (whole("run", []), "run: Input should be an object"),
    "the run is no JSON": (metadata(run="{"), "run: Invalid JSON"),
    "the run is empty": (whole("run", {}), "run.options: Field required"),
    "options are a list": (run(options=[]), "run.options: Input should be"),
    "the command is text": (run(command="python"), "run.command: Input should be"),
    "the hash of the data is 3": (run(dataset_sha256=3), "run.dataset_sha256: Input"),
    "an option of another type": (
        option("hidden", "wide"),
        "run.options.hidden: Input should be a valid array",
    ),
    "an option of another value": (
        option("optimizer", "sgd"),
        "run.options.optimizer: Input should be",
    ),
    "unknown metadata": (metadata(other="x"), "unknown metadata"),
    "a short hash": (metadata(sha256="0"), "unknown metadata"),
    "another hash": (metadata(sha256="1" * 64), f"expected sha256 {'1' * 64}, got"),
}


def square(parts: Parts) -> str:
    """Return the name of the optimizer's sums of squares."""
    return "sum" if "optimizer.0.sum" in parts.tensors else "exp_avg_sq"


@pytest.mark.slow("trains")
@pytest.mark.parametrize("kind", SIGNED)
def test_a_state_that_makes_no_sense_is_refused(
    trainer: Trainer, path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """Whatever its hash says."""
    change, words = SIGNED[kind]
    parts = parts_of(path.read_bytes())
    change(parts)
    path.write_bytes(parts.to_bytes())

    assert words in refusal(trainer, capsys)


def test_a_state_past_its_last_epoch_is_refused(
    trainer: Trainer, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With counters that agree with each other."""
    parts = parts_of(path.read_bytes())
    parts.progress.update(epoch=99_999, n_updates=299_998)
    for name, tensor in parts.tensors.items():
        if name.endswith(".step"):
            tensor.fill_(299_998)
    path.write_bytes(parts.to_bytes())

    assert "epoch: expected at most 3, got 99999" in refusal(trainer, capsys)


def cut(n: int) -> Callable[[bytes], bytes]:
    """Return what leaves so many bytes."""
    return lambda content: content[:n]


BYTES: dict[str, Callable[[bytes], bytes]] = {
    "empty": cut(0),
    "one byte": cut(1),
    "the length alone": cut(8),
    "half a header": cut(300),
    "half": lambda content: content[: len(content) // 2],
    "a byte short": cut(-1),
    "a byte more": lambda content: content + b"\0",
    "noise": lambda content: random.Random(0).randbytes(len(content)),
    "zeros": lambda content: bytes(len(content)),
    "text": lambda content: b"state\n",
    "a zip": lambda content: b"PK\x03\x04" + content,
    "twice": lambda content: 2 * content,
    "a header without metadata": lambda content: save(load(content)),
}


@pytest.mark.parametrize("kind", BYTES)
def test_a_file_that_is_no_state_is_refused(
    trainer: Trainer, path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """Half a file, another file, noise."""
    path.write_bytes(BYTES[kind](path.read_bytes()))

    refusal(trainer, capsys)


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")],
    ids=["fifo", "directory", "device"],
)
def test_what_is_no_regular_file_is_refused(
    trainer: Trainer,
    path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], object],
) -> None:
    """A pipe without a writer is not waited for."""
    path.unlink()
    make(path)

    said = refusal(trainer, capsys)

    assert said.endswith("state.safetensors cannot be read: not a regular file")


@pytest.mark.slow("flips hundreds of bits")
def test_every_flipped_bit_is_found(trainer: Trainer, tmp_path: Path) -> None:
    """In the header, in the hash and in every tensor."""
    sound = trainer.places.state.read_bytes()
    draw = random.Random(0)
    header = range(8 * (8 + int.from_bytes(sound[:8], "little")))
    path = tmp_path / "state.safetensors"
    missed = []

    for where in (header, range(8 * len(sound))):
        for bit in draw.sample(where, 200):
            content = bytearray(sound)
            content[bit // 8] ^= 1 << bit % 8
            path.write_bytes(content)
            try:
                saved_state.read(path)
                missed.append(bit)
            except StateError:
                continue

    assert missed == []


def test_a_state_without_a_hash_is_still_resumed(trainer: Trainer, path: Path) -> None:
    """As it was written before there was one."""
    sound = path.read_bytes()
    wanted = trainer.on_disk()
    found = metadata_of(sound)
    del found["sha256"]
    path.write_bytes(save(load(sound), found))

    assert_same(trainer.on_disk(), wanted)


def test_a_refused_state_changes_nothing(trainer: Trainer, path: Path) -> None:
    """What was to be resumed is as it was before."""
    state = trainer.on_disk()
    before = {name: tensor.clone() for name, tensor in state.weights.items()}
    parts = parts_of(path.read_bytes())
    for name in before:
        parts.tensors[f"weights.{name}"] += 1
    put(NAN, "optimizer.0.step")(parts)
    path.write_bytes(parts.to_bytes())

    with pytest.raises(StateError):
        state.load(path)

    assert all(torch.equal(state.weights[name], before[name]) for name in before)


@pytest.mark.parametrize(
    "line",
    [
        "3",
        "{}",
        "null",
        '{"epoch": "2"}',
        '{"epoch": 2, "train": 3, "validation": {}}',
        '{"epoch": 9, "train": {"elbo": 0}, "validation": {"elbo": 0}}',
        "\udcff",
    ],
)
def test_a_damaged_journal_ends_where_it_is_damaged(
    trainer: Trainer, line: str
) -> None:
    """The lines before are those of the card; nothing is a traceback."""
    journal = trainer.places.journal
    sound = journal.read_bytes()
    wanted = trainer.places.journal_lines()

    try:
        journal.write_bytes(sound + line.encode(errors="surrogateescape") + b"\n")
        found = trainer.places.journal_lines()
    finally:
        journal.write_bytes(sound)

    assert found == wanted
    assert len(found) == 1
