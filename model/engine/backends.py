"""Choose the library that computes the layers: torch, or ONNX Runtime if it agrees."""

import logging
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, final

import torch
from torch import Tensor

from model import device
from model.distributions import DiagonalGaussian, Likelihood
from model.engine.arrays import Array
from model.engine.probe import Probe
from model.engine.torch_threads import use_threads
from model.tables.likelihood import Table
from model.vae import VAE

logger = logging.getLogger(__name__)

Backend = Literal["auto", "torch", "onnx"]

# Relative to the largest value: float32 sums of thousands of terms in another order.
TOLERANCE = 1e-5


class Coder(Protocol):
    """Encodes and decodes: the VAE itself, or its layers in another library."""

    def encode_rows(self, x: Array, /) -> Sequence[Array]:
        """Return mu and log_var of q(z|x) for x, (N, D), without tensors between."""

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """Return q(z|x) for x, (..., D)."""

    def decode(self, z: Tensor) -> Likelihood:
        """Return p(x|z) for z, (..., J)."""


@final
class TorchVAE:
    """The VAE itself, on its device."""

    def __init__(self, vae: VAE, *, n_threads: int) -> None:
        self.encode, self.decode = vae.encode, vae.decode
        self._device = next(vae.parameters()).device
        self._n_threads = n_threads

    def encode_rows(self, x: Array) -> Sequence[Array]:
        """Return mu and log_var of q(z|x) for x, (N, D)."""
        use_threads(self._n_threads)
        q_z = self.encode(torch.from_numpy(x).to(self._device))
        return q_z.mu.cpu().numpy(), q_z.log_var.cpu().numpy()


@final
class EngineError(ValueError):
    """The requested device or backend is not available."""


class Choice(NamedTuple):
    """The name of the chosen library, and the model in it."""

    name: Literal["torch", "onnx"]
    coder: Coder


def choose_device(name: str) -> torch.device:
    """
    Return the torch device of a name, and turn TF32 off.

    Raises:
        EngineError: The device is not available.
    """
    try:
        chosen = device.choose_device(name)
    except device.DeviceError as error:
        raise EngineError(str(error)) from error
    # TF32 convolutions have 10 bits of mantissa, too few for float32 densities.
    torch.backends.cudnn.allow_tf32 = False
    return chosen


def choose(vae: VAE, wanted: Backend, probe: Probe, *, n_threads: int) -> Choice:
    """
    Return ONNX Runtime on a CPU if its results agree with torch's, else torch.

    Raises:
        EngineError: ONNX Runtime was requested and cannot be used.
    """
    device = next(vae.parameters()).device
    reference = TorchVAE(vae, n_threads=n_threads)
    if wanted == "torch" or (wanted == "auto" and device.type != "cpu"):
        torch.set_num_threads(n_threads)
        return Choice("torch", reference)
    if device.type != "cpu":
        raise EngineError(f"backend onnx computes on the cpu, got device {device}")
    # Imported here: it takes half a second, and only this backend needs it.
    from model.engine.onnx import OnnxVAE  # noqa: PLC0415

    compiled = OnnxVAE(vae, n_threads=n_threads)
    difference = _difference(compiled, reference, probe)
    if difference <= TOLERANCE:
        torch.set_num_threads(1)  # what torch still computes is too small for two
        return Choice("onnx", compiled)
    words = f"onnx differs from torch by {difference:.2g}, more than {TOLERANCE:g}"
    if wanted == "onnx":
        raise EngineError(words)
    logger.warning("%s; using torch", words)
    torch.set_num_threads(n_threads)
    return Choice("torch", reference)


def _parameters(p_x: Likelihood) -> Tensor:
    """Return what is compared; a category is most probable or not, by a rounding."""
    if not isinstance(p_x, Table):
        return p_x.mean
    if p_x.missing is None:
        return p_x.parameters
    return torch.cat([p_x.parameters, p_x.missing.eta], dim=-1)


@torch.inference_mode()
def _difference(ours: Coder, reference: Coder, probe: Probe) -> float:
    """Return the largest error relative to the largest value."""
    x, z = torch.from_numpy(probe.x), torch.from_numpy(probe.z)
    pairs = (
        (ours.encode(x).mu, reference.encode(x).mu),
        (ours.encode(x).log_var, reference.encode(x).log_var),
        (_parameters(ours.decode(z)), _parameters(reference.decode(z))),
    )
    return max(
        float((got - want).abs().max() / want.abs().max().clamp(min=1.0))
        for got, want in pairs
    )
