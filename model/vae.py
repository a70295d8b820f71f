"""The variational autoencoder: encode x to q(z|x), decode z to p(x|z)."""

from typing import final

import torch
from torch import Tensor, nn

from model.config import Config
from model.distributions import (
    LIKELIHOODS,
    DiagonalGaussian,
    Likelihood,
    standard_normal_log_prob,
)
from model.networks import Decoder, Encoder, initialize
from model.noise import Stream, generator


@final
class VAE(nn.Module):
    """
    p_theta(x|z) N(z; 0, I) with the amortised posterior q_phi(z|x) (AEVB Sec. 3).

    Attributes:
        encoder: Its parameters are phi; they alone optimise q.
        decoder: Its parameters are theta; they alone define p(x).
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    @property
    def likelihood(self) -> type[Likelihood]:
        """The family of p(x|z)."""
        return LIKELIHOODS[self.config.likelihood.kind]

    @property
    def theta(self) -> list[nn.Parameter]:
        """The decoder's weights and biases, the parameters of p_theta(x|z) p(z)."""
        return list(self.decoder.parameters())

    @property
    def phi(self) -> list[nn.Parameter]:
        """The encoder's weights and biases, the variational parameters."""
        return list(self.encoder.parameters())

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """Return q(z|x) for x, (..., D)."""
        q_z: DiagonalGaussian = self.encoder(x)
        return q_z

    def decode(self, z: Tensor) -> Likelihood:
        """Return p(x|z) for z, (..., J)."""
        p_x: Likelihood = self.decoder(z)
        return p_x

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """
        Return log p(x|z) + log p(z) in nats, summed in float64, (...).

        Args:
            x: Data of the model's dtype, (..., D).
            z: Latents of any dtype, (..., J); the decoder sees them in that of x.
        """
        log_p_x = self.decode(z.to(x.dtype)).log_prob_per_dim(x)
        return log_p_x.sum(dim=-1, dtype=torch.float64) + standard_normal_log_prob(z)


def initialized(config: Config, *, seed: int) -> VAE:
    """Return a VAE with fresh weights that depend on the seed alone."""
    vae = empty(config).to_empty(device="cpu")
    draw = generator(seed, Stream.INITIALIZATION)
    initialize(vae, generator=torch.Generator().manual_seed(int(draw.integers(2**63))))
    return vae


def empty(config: Config) -> VAE:
    """Return a VAE with shapes but no storage, to load weights into."""
    with torch.device("meta"):
        return VAE(config)
