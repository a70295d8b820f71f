"""
The variational autoencoder: encode x to q(z|x), decode z to p(x|z).

x is in the model's units everywhere: in standardized units if `VAE.units` is not None,
else in the data's own. `VAE.in_model_units` and `VAE.units` convert.
"""

from typing import Any, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.config import Config
from model.distributions import DiagonalGaussian, Likelihood
from model.graph import Graphs
from model.likelihoods import LIKELIHOODS
from model.networks import Decoder, Encoder, initialize
from model.noise import Stream, generator
from model.prior import Prior
from model.prior_weights import prior_weights
from model.tables.marginals import Marginals
from model.units import StoredUnits, Units


@final
class VAE(nn.Module):
    """
    p_theta(x|z) p(z) with the amortized posterior q_phi(z|x) (AEVB Sec. 3).

    Attributes:
        encoder: Its parameters are phi; q depends on them alone.
        decoder: Its parameters are part of theta; with p(z) they define p(x).
        prior: The learned parameters of p(z), none if it is N(0, I); part of theta.
        graphs: The networks, if they were trained elsewhere.
    """

    def __init__(self, config: Config, graphs: Graphs | None = None) -> None:
        super().__init__()
        self.config, self.graphs = config, graphs
        self.encoder = Encoder(config, graphs and graphs.encoder)
        self.decoder = Decoder(config, graphs and graphs.decoder)
        self.prior = prior_weights(config)
        self.standardization = (
            StoredUnits(config.data_dim) if config.has_units else None
        )

    @property
    def likelihood(self) -> type[Likelihood]:
        """The family of p(x|z)."""
        return LIKELIHOODS[self.config.likelihood.kind]

    @property
    def units(self) -> Units | None:
        """The data's units; None if the model computes in them."""
        return None if self.standardization is None else self.standardization.units

    @property
    def marginals(self) -> Marginals | None:
        """The marginals of the columns of a table; None for other data."""
        return self.decoder.marginals

    def observed_part(self, x: Tensor, observed: Tensor) -> Tensor:
        """
        Return x with unobserved values set to 0.

        0 lies in every support; in a table it is a missing cell.

        Args:
            x: (N, D) in the model's units, which may be NaN where it is not observed.
            observed: bool, (N, D), for a table one for each column.
        """
        times = x.shape[-1] // observed.shape[-1]
        return torch.where(observed.repeat(1, times), x, 0.0)

    @property
    def log_jacobian(self) -> float:
        """What log p(x) in data units is larger by than in the model's, in nats."""
        return 0.0 if (units := self.units) is None else units.log_jacobian

    def in_model_units(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """
        Return x in data units, (N, D), in the model's units.

        Of a table, x in data units are codes, and missing ones are NaN.

        Raises:
            ValueError: A code of a table is infinite, or no category of its column.
        """
        if self.marginals is not None:
            return self.marginals.x_of(x)
        units = self.units
        return x.astype(np.float32) if units is None else units.standardize(x)

    @property
    def theta(self) -> list[nn.Parameter]:
        """The parameters of p_theta(x|z) p(z): of the decoder and of the prior."""
        return [*self.decoder.parameters(), *self.prior.parameters()]

    @property
    def phi(self) -> list[nn.Parameter]:
        """The variational parameters: the weights and biases of the encoder."""
        return list(self.encoder.parameters())

    @property
    def p_z(self) -> Prior:
        """The prior p(z)."""
        p_z: Prior = self.prior(self.encoder)
        return p_z

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002  as in torch
        """
        Set training or evaluation mode; in evaluation mode p(z) is computed once.

        Do not change weights in evaluation mode: a VampPrior would keep its old p(z).
        """
        super().train(mode)
        if mode:
            self.prior.unsettle()
        else:
            self.prior.settle(self.encoder)
        return self

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
            x: Data in the model's units and dtype, (..., D).
            z: Latents of any dtype, (..., J); they are decoded in the dtype of x.
        """
        log_p_x = self.decode(z.to(x.dtype)).log_prob_per_dim(x)
        return log_p_x.sum(dim=-1, dtype=torch.float64) + self.p_z.log_prob(z)


def initial_vae(config: Config, *, seed: int) -> VAE:
    """Return a VAE with initial weights that depend on the seed alone."""
    vae = VAE(config)
    draw = generator(seed, Stream.INITIALIZATION)
    noise = torch.Generator().manual_seed(int(draw.integers(2**63)))
    initialize(vae.encoder, generator=noise)
    initialize(vae.decoder, generator=noise)
    vae.prior.reset(noise)
    if vae.standardization is not None:
        vae.standardization.reset()
    return vae


def empty(config: Config, graphs: Graphs | None = None) -> VAE:
    """
    Return a VAE on the meta device, without storage, to load weights into.

    Args:
        graphs: The networks, if the configuration says that they are graphs.
    """
    with torch.device("meta"):
        return VAE(config, graphs)
