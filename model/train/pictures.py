"""The pictures of a model card, as PNG."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from model.prior import draw
from model.vae import VAE

_MANIFOLD_SIDE = 20
_TILE, _GAP = 64, 2  # pixels


def learning_curve(journal: Sequence[dict[str, Any]], kept_epoch: int) -> bytes:
    """
    Plot the ELBO of training and validation against the epoch.

    Args:
        journal: At least one line.
        kept_epoch: Whose weights are kept; 0 for the start.
    """
    # Imported here, at the end of a run, which so starts half a second sooner.
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    epochs = [line["epoch"] for line in journal]
    settled: list[float] = []
    for split in ("train", "validation"):
        elbo = [line[split]["elbo"] for line in journal]
        axes.plot(epochs, elbo, label=split, marker="." if len(elbo) < 20 else None)
        # The low values of the first epochs would hide the differences of the others.
        settled += elbo[len(elbo) // 10 :]
    margin = 0.05 * (max(settled) - min(settled)) or 1.0
    axes.set_ylim(min(settled) - margin, max(settled) + margin)
    axes.axvline(kept_epoch, color="gray", linestyle=":", label="kept")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("ELBO, nats per example")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    buffer = BytesIO()
    # No software version in the file: the same run gives the same bytes.
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()


def drawable(data_shape: tuple[int, ...]) -> bool:
    """Return whether examples are gray or RGB images."""
    return len(data_shape) == 2 or (len(data_shape) == 3 and data_shape[2] in (1, 3))


@torch.inference_mode()
def reconstructions(vae: VAE, x: Tensor) -> bytes:
    """Show images above E[x|z] at z = mu(x); x is (N, D)."""
    mean = vae.decode(vae.encode(x).mu).mean
    return _grid(vae, torch.stack([x, mean]).flatten(end_dim=1), n_columns=len(x))


@torch.inference_mode()
def samples(vae: VAE, n: int, *, seed: int) -> bytes:
    """Show E[x|z] for n draws of z from the prior, the pictures of `/sample`."""
    mean = vae.decode(_like(vae, draw(vae.p_z, n, seed=seed))).mean
    return _grid(vae, mean, n_columns=round(n**0.5))


@torch.inference_mode()
def manifold(vae: VAE) -> bytes:
    """
    Show E[x|z] over the plane of a two-dimensional latent (AEVB Fig. 4).

    The values of z are prior quantiles at even probabilities, so that every row and
    every column has the same share of the prior.
    """
    even = (torch.arange(_MANIFOLD_SIDE) + 0.5) / _MANIFOLD_SIDE
    across, up = vae.p_z.quantiles(even)
    z = torch.cartesian_prod(up.flip(0), across).flip(-1)
    return _grid(vae, vae.decode(_like(vae, z)).mean, n_columns=_MANIFOLD_SIDE)


def _like(vae: VAE, z: Tensor | NDArray[np.float32]) -> Tensor:
    return torch.as_tensor(z).to(next(vae.parameters()))


def _grid(vae: VAE, x: Tensor, *, n_columns: int) -> bytes:
    """Arrange images in rows, on white."""
    values = x.flatten(end_dim=-2).float().cpu().numpy()
    in_data_units = values if vae.units is None else vae.units.mean(values)
    images = in_data_units.reshape(-1, *vae.config.data_shape)
    known = vae.likelihood.value_range or vae.config.data.value_range
    low, high = known or (images.min(), images.max())
    scaled = np.clip((images - low) / (high - low or 1), 0, 1)
    tiles = np.stack([_tile(image) for image in np.rint(255 * scaled).astype(np.uint8)])
    rows = tiles.reshape(-1, n_columns, *tiles.shape[1:])
    sheet = np.concatenate(np.concatenate(rows, axis=1), axis=1)
    buffer = BytesIO()
    Image.fromarray(sheet).save(buffer, format="png")
    return buffer.getvalue()


def _tile(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Enlarge an image to about the size of a tile, with a white border."""
    side = max(image.shape[:2])
    picture = Image.fromarray(image.squeeze(-1) if image.shape[2:] == (1,) else image)
    picture = picture.reduce(-(-side // _TILE))  # a factor of 1 if it is smaller
    enlarged = np.asarray(picture).repeat(max(1, _TILE // side), axis=0)
    enlarged = enlarged.repeat(max(1, _TILE // side), axis=1)
    edges = ((_GAP, _GAP), (_GAP, _GAP), (0, 0))[: enlarged.ndim]
    return np.pad(enlarged, edges, constant_values=255)
