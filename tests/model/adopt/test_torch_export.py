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


def test_one_row_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch would fix the number of rows in the graph."""
    monkeypatch.setattr(torch_export, "find_spec", lambda _name: object())

    with pytest.raises(ValueError, match="2 rows of x or more"):
        torch_export.export(Encoder(), torch.rand(1, 3, 4, 6), "x", ["mu"])
