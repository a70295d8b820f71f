"""One row of x, or the observed part of one, and its density as a function of z."""

from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from model.inference.likelihood import log_joint, log_likelihood
from model.inference.observed import masked_log_prob
from model.prior import Prior
from model.vae import VAE


@final
@dataclass(frozen=True, eq=False)
class Example:
    """
    log p(x, z) of one example as a function of z, for draws of z, (K, J).

    Attributes:
        vae: The model.
        x: Data in the likelihood's support, (1, D).
        observed: If not all of x is known: True where it is, bool, (1, D). Then x means
            its known part in all densities, and x is 0 elsewhere.
    """

    vae: VAE
    x: Tensor
    observed: Tensor | None = None

    @property
    def p_z(self) -> Prior:
        """The prior p(z)."""
        return self.vae.p_z

    def log_joint(self, z: Tensor) -> Tensor:
        """Return log p(x|z) + log p(z) in nats, differentiable in z, (K,)."""
        return log_joint(self.vae, self.x, z, self.observed)

    def log_likelihood(self, z: Tensor) -> Tensor:
        """Return log p(x|z) in nats, without gradients, (K,)."""
        return log_likelihood(self.vae, self.x, z, self.observed)

    def wide_log_likelihood(self, decoder: nn.Module, z: Tensor) -> Tensor:
        """Return log p(x|z) in nats, by a decoder in float64, (K,)."""
        p_x, x = decoder(z), self.x.double()
        if self.observed is None:
            log_p_x: Tensor = p_x.log_prob(x)
            return log_p_x
        return masked_log_prob(p_x, x, self.observed)
