from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from model import adopt, checkpoint
from model.adopt import torch_export


class Encoder(nn.Module):
    """A small encoder with convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.torso = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.SiLU(), nn.Flatten()
        )
        self.mu, self.log_var = nn.Linear(24, 2), nn.Linear(24, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mu and log_var of images with channels first."""
        h = self.torso(x)
        return self.mu(h), self.log_var(h)


@pytest.mark.filterwarnings("ignore")  # of torch's exporter
@pytest.mark.slow("exports with torch, which takes seconds")
def test_modules_in_memory_are_adopted(tmp_path: Path) -> None:
    """Encoder and decoder are exported, checked and written."""
    pytest.importorskip("onnxscript")
    encoder = Encoder()
    decoder = nn.Sequential(nn.Linear(2, 72), nn.Unflatten(1, (3, 4, 6)), nn.Sigmoid())

    adopt.from_torch(
        encoder,
        decoder,
        x=torch.rand(2, 3, 4, 6),
        z=torch.rand(2, 2),
        likelihood="continuous_bernoulli",
        out=tmp_path / "mine",
    )

    vae = checkpoint.load(tmp_path / "mine").vae
    x = torch.rand(5, 4, 6, 3)
    assert encoder.training
    assert encoder.torso[1].training
    encoder.eval()
    with torch.no_grad():
        wanted = encoder(x.permute(0, 3, 1, 2))[0].numpy()
    np.testing.assert_allclose(
        vae.encode(x.reshape(5, -1)).mu.numpy(), wanted, atol=1e-5
    )


def test_without_the_exporter_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An error says what to install."""
    monkeypatch.setattr(torch_export, "find_spec", lambda _name: None)

    with pytest.raises(ModuleNotFoundError, match="adopt"):
        torch_export.export(Encoder(), torch.rand(2, 3, 4, 6), "x", ["mu"])


def test_a_module_gets_its_modes_back() -> None:
    """Of every part, also after an error, so that its training can go on."""
    encoder = Encoder()
    encoder.torso[1].eval()

    with suppress(KeyError), torch_export.evaluating(encoder):
        assert not encoder.torso.training
        raise KeyError

    modes = [encoder.training, encoder.torso.training, encoder.torso[1].training]
    assert modes == [True, True, False]


@pytest.mark.parametrize(
    ("returned", "what"),
    [
        (lambda mu, log_var: {"log_var": log_var, "mu": mu}, "order of mu, .*got dict"),
        (lambda mu, log_var: (mu, {"log_var": log_var}), "a tuple of tensors"),
        (lambda mu, log_var: mu, r"expected 2 outputs \(mu, log_var\), got 1"),
    ],
)
def test_outputs_are_named_by_their_order(
    returned: Callable[..., object], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dict with log_var first would become a model with mu and log_var exchanged."""
    monkeypatch.setattr(torch_export, "find_spec", lambda _name: object())
    encoder = Encoder()
    forward = encoder.forward
    monkeypatch.setattr(encoder, "forward", lambda x: returned(*forward(x)))

    with pytest.raises(ValueError, match=what):
        torch_export.export(encoder, torch.rand(2, 3, 4, 6), "x", ["mu", "log_var"])


def test_one_row_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch would fix the number of rows in the graph."""
    monkeypatch.setattr(torch_export, "find_spec", lambda _name: object())

    with pytest.raises(ValueError, match="2 rows of x or more"):
        torch_export.export(Encoder(), torch.rand(1, 3, 4, 6), "x", ["mu"])
