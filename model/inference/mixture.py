"""The proposal for log p(x) of one example: a mixture, sampled in strata."""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self, final

import torch
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.inference.fitting import Modes
from model.inference.proposals import FullGaussian
from model.prior import Prior
from model.vae import VAE

SLOTS = 64
_PRIOR_SLOTS, _ENCODER_SLOTS = 4, 2
_LEAST_SLOTS = 4  # of a mode, one for each of its scales
_ENCODER_SCALE = 1.5
# The scales of a mode's copies are 1 + w / sqrt(J), so that the overlap of successive
# copies does not depend on the number of dimensions.
_WIDENINGS = (0.0, 0.45, 0.9, 1.8)


class Stratum(NamedTuple):
    """A Gaussian of the mixture, the factor of its sigma, and its slots."""

    component: int
    scale: float
    slots: int


@final
@dataclass(frozen=True, eq=False)
class Mixture:
    """
    Gaussians around the modes and wider copies of them, the encoder's q, and the prior.

    Of every 64 successive draws, each stratum has a fixed number (Owen & Zhou 2000,
    Sec. 5; Elvira et al. 2019); `log_prob` is the density of the whole mixture. The
    prior has one draw in sixteen, so no weight exceeds 16 p(x|z).

    Attributes:
        q_z: The Gaussians, (G, J), float64.
        inverse: The inverses of their `scale_tril`, (G, J, J).
        strata: All strata except the prior's, in the order of their draws.
        p_z: The prior.
    """

    q_z: FullGaussian
    inverse: Tensor
    strata: tuple[Stratum, ...]
    p_z: Prior

    @classmethod
    def around(cls, modes: Modes, encoder: DiagonalGaussian, vae: VAE) -> Self:
        """
        Return the mixture for one example.

        Args:
            encoder: The encoder's q(z|x), (1, J), float64.
        """
        j = encoder.mu.shape[1]
        q_z = FullGaussian(
            torch.cat([modes.q_z.mu, encoder.mu]),
            torch.cat([modes.q_z.scale_tril, torch.diag_embed(encoder.sigma)]),
        )
        identity = torch.eye(j, dtype=q_z.mu.dtype, device=q_z.mu.device)
        inverse = torch.linalg.solve_triangular(q_z.scale_tril, identity, upper=False)
        strata = []
        for index, slots in enumerate(_slots(modes.elbo)):
            for i, widening in enumerate(_WIDENINGS):
                share = (slots + i) // len(_WIDENINGS)
                strata.append(Stratum(index, 1 + widening / math.sqrt(j), share))
        strata.append(Stratum(len(modes.elbo), _ENCODER_SCALE, _ENCODER_SLOTS))
        return cls(q_z, inverse, tuple(strata), vae.p_z)

    @property
    def noise_dim(self) -> int:
        """J + 1: the last normal selects the component of a mixture prior."""
        return self.q_z.noise_dim + 1

    @property
    def slots(self) -> list[int]:
        """The slots of all strata, the prior's last."""
        return [*(stratum.slots for stratum in self.strata), _PRIOR_SLOTS]

    def reparameterize(self, eps: Tensor) -> Tensor:
        """Return z, (K, J), from eps ~ N(0, I), (K, J + 1); K is a multiple of 64."""
        j = self.q_z.noise_dim
        slots = torch.split(eps.reshape(-1, SLOTS, j + 1), self.slots, dim=1)
        z = []
        for (index, scale, _), part in zip(self.strata, slots, strict=False):
            root = scale * self.q_z.scale_tril[index].T
            z.append(self.q_z.mu[index] + part[..., :j] @ root)
        last = slots[-1]
        z.append(self.p_z.sample(last[..., :j], torch.special.ndtr(last[..., j])))
        return torch.cat(z, dim=1).reshape(-1, j)

    def log_prob(self, z: Tensor, log_p_z: Tensor) -> Tensor:
        """
        Return the log density of the mixture at z, (K, J), in nats, (K,).

        Args:
            log_p_z: The log density of the prior at z, (K,).
        """
        j = z.shape[-1]
        off = z - self.q_z.mu[:, None]  # (G, K, J)
        square = (off @ self.inverse.transpose(1, 2)).square().sum(dim=-1)  # (G, K)
        log_root = self.inverse.diagonal(dim1=1, dim2=2).log().sum(dim=-1)  # (G,)
        log_root = log_root - 0.5 * j * math.log(2 * math.pi)
        parts = [
            math.log(slots / SLOTS)
            - j * math.log(scale)
            + log_root[index]
            - square[index] / (2 * scale**2)
            for index, scale, slots in self.strata
        ]
        parts.append(math.log(_PRIOR_SLOTS / SLOTS) + log_p_z)
        return torch.logsumexp(torch.stack(parts), dim=0)


def _slots(elbo: Tensor) -> list[int]:
    """Return the slots of the modes, in proportion to their mass, at least 4 each."""
    free = SLOTS - _PRIOR_SLOTS - _ENCODER_SLOTS
    share = torch.softmax(elbo, dim=0).tolist()
    slots = [max(_LEAST_SLOTS, round(free * s)) for s in share]
    slots[share.index(max(share))] += free - sum(slots)
    return slots
