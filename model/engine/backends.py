"""Which library computes the layers: torch, or ONNX Runtime where it is right."""

import logging
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, final

import torch
from torch import Tensor

from model import device
from model.distributions import DiagonalGaussian, Likelihood
from model.engine.arrays import Array
from model.engine.probe import Probe
from model.vae import VAE

logger = logging.getLogger(__name__)

Backend = Literal["auto", "torch", "onnx"]

# Of the largest value: float32 sums of thousands of terms, in another order.
_TOLERANCE = 1e-5


class Coder(Protocol):
    """What computes: the VAE itself, or its layers in another library."""

    def encode_rows(self, x: Array) -> Sequence[Array]:
        """Return mu and log_var of q(z|x) for x, (N, D), without any detour."""

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """Return q(z|x) for x, (..., D)."""

    def decode(self, z: Tensor) -> Likelihood:
        """Return p(x|z) for z, (..., J)."""


@final
class TorchVAE:
    """The VAE itself, on its device."""

    def __init__(self, vae: VAE) -> None:
        self.encode, self.decode = vae.encode, vae.decode
        self._device = next(vae.parameters()).device

    def encode_rows(self, x: Array) -> Sequence[Array]:
        """Return mu and log_var of q(z|x) for x, (N, D)."""
        q_z = self.encode(torch.from_numpy(x).to(self._device))
        return q_z.mu.cpu().numpy(), q_z.log_var.cpu().numpy()


@final
class EngineError(ValueError):
    """The engine cannot compute where or how it was told to."""


class Choice(NamedTuple):
    """A library by its name, and the model in it."""

    name: Literal["torch", "onnx"]
    coder: Coder


def choose_device(name: str) -> torch.device:
    """
    Return the device of a name, in full float32 precision.

    Raises:
        EngineError: There is no such device.
    """
    try:
        chosen = device.choose_device(name)
    except device.DeviceError as error:
        raise EngineError(str(error)) from error
    # Ten bits of mantissa in convolutions would not do for densities in float32.
    torch.backends.cudnn.allow_tf32 = False
    return chosen


def choose(vae: VAE, wanted: Backend, probe: Probe, *, n_threads: int) -> Choice:
    """
    Return ONNX Runtime on a CPU if its answers are torch's, else torch.

    Raises:
        EngineError: ONNX Runtime was asked for and cannot be had.
    """
    device = next(vae.parameters()).device
    reference = TorchVAE(vae)
    if wanted == "torch" or (wanted == "auto" and device.type != "cpu"):
        torch.set_num_threads(n_threads)
        return Choice("torch", reference)
    if device.type != "cpu":
        raise EngineError(f"backend onnx computes on the cpu, got device {device}")
    # Half a second that no other backend needs.
    from model.engine.onnx import OnnxVAE  # noqa: PLC0415

    compiled = OnnxVAE(vae, n_threads=n_threads)
    difference = _difference(compiled, reference, probe)
    if difference <= _TOLERANCE:
        torch.set_num_threads(1)  # what is left to it is not worth two
        return Choice("onnx", compiled)
    words = f"onnx differs from torch by {difference:.2g}, more than {_TOLERANCE:g}"
    if wanted == "onnx":
        raise EngineError(words)
    logger.warning("%s; torch computes", words)
    torch.set_num_threads(n_threads)
    return Choice("torch", reference)


@torch.inference_mode()
def _difference(ours: Coder, reference: Coder, probe: Probe) -> float:
    """Return the largest error, as a part of the largest value."""
    x, z = torch.from_numpy(probe.x), torch.from_numpy(probe.z)
    pairs = (
        (ours.encode(x).mu, reference.encode(x).mu),
        (ours.encode(x).log_var, reference.encode(x).log_var),
        (ours.decode(z).mean, reference.decode(z).mean),
    )
    return max(
        float((got - want).abs().max() / want.abs().max().clamp(min=1.0))
        for got, want in pairs
    )
