"""Rows on which the engine checks itself: latents, noise, and data from the model."""

from typing import NamedTuple

import torch

from model.engine.arrays import Array
from model.noise import data_noise
from model.prior import draw
from model.vae import VAE


class Probe(NamedTuple):
    """x, (N, D), and the z, (N, J), and noise, (N, D), that it was drawn from."""

    x: Array
    z: Array
    noise: Array


@torch.inference_mode()
def probe(vae: VAE, n: int) -> Probe:
    """Return n rows like those of clients: x ~ p(x|z) for z drawn from the prior."""
    config, family = vae.config, vae.likelihood
    z = draw(vae.p_z, n, seed=0)
    noise = data_noise(family.noise, (n, config.data_dim), seed=0)
    device = next(vae.parameters()).device
    p_x = vae.decode(torch.from_numpy(z).to(device))
    x = p_x.sample(torch.from_numpy(noise).to(device)).cpu().numpy()
    if vae.marginals is not None:
        x = vae.in_model_units(x)
    return Probe(x, z, noise)
