"""The served network in plain torch, as a peer's user would write it."""

from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

Weights = dict[str, Tensor]
_Layer = TypeVar("_Layer", bound=nn.Module)


class Encoder(nn.Module):
    """x, (N, D), to mu and log_var, (N, J)."""

    def __init__(self, torso: nn.Sequential, mu: nn.Linear, log_var: nn.Linear) -> None:
        super().__init__()
        self.torso, self.mu, self.log_var = torso, mu, log_var

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.torso(x)
        return self.mu(h), self.log_var(h)


class Colors(nn.Module):
    """Reshape (N, H*W*3), square images, to (N, 3, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        side = round((x.shape[1] / 3) ** 0.5)
        return x.reshape(-1, side, side, 3).permute(0, 3, 1, 2)


class Flat(nn.Module):
    """Reshape (N, C, H, W) to (N, H*W*C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(start_dim=1)


def encoder(path: Path) -> Encoder:
    """Return the encoder whose weights lie in a safetensors file."""
    torch.set_num_threads(1)
    weights = load_file(path)
    names = _layers(weights, "encoder.torso")
    is_conv = weights[f"{names[0]}.weight"].ndim == 4
    torso = _conv(weights, names) if is_conv else _mlp(weights, names)
    heads = (_linear(weights, f"encoder.{head}") for head in ("mu", "log_var"))
    return Encoder(torso, *heads).eval()


def decoder(path: Path) -> nn.Sequential:
    """Return the Bernoulli MLP decoder, z to logits, of a safetensors file."""
    weights = load_file(path)
    torso = _mlp(weights, _layers(weights, "decoder.torso"))
    return nn.Sequential(torso, _linear(weights, "decoder.eta")).eval()


def _layers(weights: Weights, prefix: str) -> list[str]:
    """Return the names of the layers with weights, in order."""
    numbers = {
        int(name.split(".")[2]) for name in weights if name.startswith(f"{prefix}.")
    }
    return [f"{prefix}.{number}" for number in sorted(numbers)]


def _mlp(weights: Weights, names: list[str]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for name in names:
        layers += [_linear(weights, name), nn.Tanh()]
    return nn.Sequential(*layers)


def _conv(weights: Weights, names: list[str]) -> nn.Sequential:
    layers: list[nn.Module] = [Colors()]
    for name in names[:-1]:
        layers += [_convolution(weights, name), nn.ReLU()]
    return nn.Sequential(*layers, Flat(), _linear(weights, names[-1]), nn.ReLU())


def _linear(weights: Weights, name: str) -> nn.Linear:
    n_out, n_in = weights[f"{name}.weight"].shape
    return _filled(nn.Linear(n_in, n_out), weights, name)


def _convolution(weights: Weights, name: str) -> nn.Conv2d:
    n_out, n_in, kernel, _ = weights[f"{name}.weight"].shape
    return _filled(nn.Conv2d(n_in, n_out, kernel, 2, 1), weights, name)


def _filled(layer: _Layer, weights: Weights, name: str) -> _Layer:
    layer.load_state_dict({k: weights[f"{name}.{k}"] for k in ("weight", "bias")})
    return layer
