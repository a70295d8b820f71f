"""The file a run is kept in: whole, or refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model.train import saved_state
from model.train.options import RunOptions
from model.train.saved_state import StateError
from tests.model.train.runs import Trainer, assert_same, write_images


def run(where: Path) -> Trainer:
    """Return a small run that has taken four steps."""
    options = RunOptions(
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
    found = saved_state.read(tmp_path / "again.safetensors")
    assert found.run == {"whose": "mine"}
    assert found.progress == state.progress


def test_the_average_lines_up_with_the_weights(tmp_path: Path) -> None:
    """A file has an order of its own; the average's is that of the weights."""
    state = run(tmp_path).on_disk()

    assert list(state.average) == list(state.weights)
    assert list(state.average) != sorted(state.average)  # or this would prove nothing


def test_another_safetensors_file_is_no_state(tmp_path: Path) -> None:
    """A checkpoint's weights, say."""
    path = tmp_path / "model.safetensors"
    save_file({"encoder.mu.bias": torch.zeros(2)}, path)

    with pytest.raises(StateError, match="is not the state of a training run"):
        saved_state.read(path)
