"""The file a run is kept in: whole, or refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model import atomic_files
from model.train.options import Options
from model.train.state import State, StateError, saved_run
from tests.model.train.runs import Trainer, assert_same, write_images


def run(where: Path) -> Trainer:
    """Return a small run that has taken four steps."""
    options = Options(
        data=str(write_images(where / "images.npy")),
        out=where / "run",
        hidden=(6,),
        latent_dim=2,
        batch_size=16,
        epochs=3,
    )
    trainer = Trainer(options)
    trainer.fit(trainer.begin(), n_steps=4)
    return trainer


def test_what_is_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    """All tensors, the counters and which run it is."""
    trainer = run(tmp_path)
    state = trainer.on_disk()

    state.save(tmp_path / "again.safetensors", run={"whose": "mine"})
    again = trainer.begin()
    again.load(tmp_path / "again.safetensors")

    assert_same(again, state)
    assert torch.equal(again.terms[:1], state.terms[:1])
    assert saved_run(tmp_path / "again.safetensors") == {"whose": "mine"}


def test_the_average_lines_up_with_the_weights(tmp_path: Path) -> None:
    """A file has an order of its own; the average's is that of the weights."""
    state = run(tmp_path).on_disk()

    assert list(state.average) == list(state.weights)
    assert list(state.average) != sorted(state.average)  # or this would prove nothing


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    """Half a file is named, and nothing is made of it."""
    trainer = run(tmp_path)
    path = trainer.places.state
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(StateError, match=r"state\.safetensors cannot be read: "):
        trainer.on_disk()


def test_another_safetensors_file_is_no_state(tmp_path: Path) -> None:
    """A checkpoint's weights, say."""
    path = tmp_path / "model.safetensors"
    save_file({"encoder.mu.bias": torch.zeros(2)}, path)

    with pytest.raises(StateError, match="is not the state of a training run"):
        saved_run(path)


def test_a_state_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """A disk that refuses costs nothing that was there."""
    trainer = run(tmp_path)
    path = trainer.places.state
    before = path.read_bytes()
    path.with_name(f"{path.name}.partial").mkdir()  # where the new one would be begun
    state: State = trainer.on_disk()

    with pytest.raises(OSError, match="Is a directory"):
        state.save(path, run={})

    assert path.read_bytes() == before


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    """Whoever has the old one open keeps it whole, and no scraps are left."""
    path = tmp_path / "file"
    atomic_files.replace(path, b"old")
    with path.open("rb") as old:
        atomic_files.replace(path, b"new and longer")

        assert old.read() == b"old"
    assert path.read_bytes() == b"new and longer"
    assert list(tmp_path.iterdir()) == [path]
