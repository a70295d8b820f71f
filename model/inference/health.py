"""How a model uses its latent dimensions: KLs, mutual information, collapse."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.dataset_elbo import active_units
from model.distributions import DiagonalGaussian, normal_log_prob
from model.prior import Prior
from model.vae import VAE

_ROWS_PER_CHUNK = 4096
_DENSITIES_PER_CHUNK = 4_000_000
_LEAST_LOG_VAR = -1400.0  # of which 1 / sigma fits float64
_LITTLE = 0.01  # nats; a dimension with a smaller KL follows the prior


class MeanEstimate(NamedTuple):
    """A mean over the examples and its standard error, NaN for one example; in nats."""

    value: float
    standard_error: float


class Aggregate(NamedTuple):
    """
    The two terms of E_x[KL(q(z|x) || p(z))] (Hoffman & Johnson 2016), in nats.

    Attributes:
        mutual_information: I_q(x; z) between z and the index of its example among N. As
            an estimate for the whole population it is biased low, and at most log N.
        kl_to_prior: KL(q(z) || p(z)) of the mixture q(z) = mean_n q(z|x_n). For the
            population it is biased high by the same amount.
        expected_kl: Their sum by `Prior.kl`, without these biases, and without noise if
            the KL has a closed form.
        n_examples: N; the mutual information is at most log N.
    """

    mutual_information: MeanEstimate
    kl_to_prior: MeanEstimate
    expected_kl: float
    n_examples: int

    @property
    def ceiling(self) -> float:
        """The largest mutual information that N examples can show, log N."""
        return math.log(self.n_examples)


class Health(NamedTuple):
    """
    How a model uses its latent dimensions, measured on N examples.

    Attributes:
        kl_per_dim: E_x[KL(q(z_j|x) || p(z_j))] in nats, (J,); None if p(z) is a
            mixture, where the KL is not a sum over dimensions.
        active: Which dimensions are active units (Burda et al. 2016), (J,).
    """

    kl_per_dim: NDArray[np.float64] | None
    active: NDArray[np.bool_]
    aggregate: Aggregate

    @property
    def verdict(self) -> str:
        """Whether the posterior has collapsed, in words."""
        n_active, n_dims = int(self.active.sum()), len(self.active)
        nats = self.aggregate.mutual_information.value
        information = f"z carries {nats:.1f} nats of information about its example"
        if n_active == 0:
            return (
                f"Posterior collapse: none of the {n_dims} latent dimensions is "
                f"active; {information}."
            )
        if n_active == n_dims:
            return (
                "No posterior collapse: every latent dimension is active "
                f"({n_dims}); {information}."
            )
        return (
            f"Partial collapse: {n_active} of {n_dims} latent dimensions are active, "
            f"the others {self._inactive_behavior}; {information}."
        )

    @property
    def _inactive_behavior(self) -> str:
        """What the dimensions that are not active do, in words."""
        if self.kl_per_dim is None:
            return "hardly move with x"
        rest = float(self.kl_per_dim[~self.active].max())
        if rest <= _LITTLE:
            return "follow the prior"
        return f"differ from the prior, by up to {rest:.2f} nats, but hardly with x"


@torch.inference_mode()
def posteriors(vae: VAE, x: Tensor) -> DiagonalGaussian:
    """Return q(z|x) of every row of x, (N, D), in float64 on the CPU, (N, J)."""
    parts = [vae.encode(rows) for rows in torch.split(x, _ROWS_PER_CHUNK)]
    return DiagonalGaussian(
        torch.cat([q_z.mu for q_z in parts]).double().cpu(),
        torch.cat([q_z.log_var for q_z in parts]).double().cpu(),
    )


def health(q_z: DiagonalGaussian, p_z: Prior, *, eps: Tensor) -> Health:
    """
    Measure how the latents are used, from q(z|x) of N examples and the prior.

    Args:
        q_z: float64, (N, J).
        eps: Standard normal noise, (K, N, J).
    """
    per_dim = p_z.kl_per_dim(q_z)
    return Health(
        kl_per_dim=None if per_dim is None else per_dim.double().mean(dim=0).numpy(),
        active=active_units(q_z.mu.double().numpy()),
        aggregate=aggregate(q_z, p_z, eps=eps),
    )


def aggregate(q_z: DiagonalGaussian, p_z: Prior, *, eps: Tensor) -> Aggregate:
    """
    Split the mean KL into I_q(x; z) and KL(q(z) || p(z)) (Hoffman & Johnson 2016).

    With z ~ q(z|x_n), the first is the mean of log q(z|x_n) - log q(z) and the second
    that of log q(z) - log p(z). q(z) is exact for these N examples: every q(z|x_m) is
    evaluated at every z, N^2 K densities, in chunks.

    Args:
        q_z: (N, J).
        eps: Standard normal noise, (K, N, J).
    """
    # That of an example far from all others may be smaller: its z is its mu.
    q_z = DiagonalGaussian(q_z.mu, q_z.log_var.clamp(min=_LEAST_LOG_VAR))
    z = q_z.reparameterize(eps.to(q_z.mu))
    log_q = q_z.log_prob(z)  # log q(z|x), (K, N)
    log_p = p_z.log_prob(z)
    n = len(q_z.mu)
    rows = torch.split(z.reshape(-1, z.shape[-1]), max(1, _DENSITIES_PER_CHUNK // n))
    log_mean = torch.cat([_log_mixture(q_z, part) for part in rows]).reshape_as(log_q)
    return Aggregate(
        mutual_information=_estimate(log_q - log_mean),
        kl_to_prior=_estimate(log_mean - log_p),
        expected_kl=float(p_z.kl(q_z, z).mean()),
        n_examples=n,
    )


def _log_mixture(q_z: DiagonalGaussian, z: Tensor) -> Tensor:
    """Return log mean_n q(z|x_n) of each row of z, (M, J) to (M,)."""
    total = z.new_zeros(len(z), len(q_z.mu))
    for j in range(z.shape[1]):  # an array (M, N, J) would not fit into memory
        total += normal_log_prob(z[:, j, None], q_z.mu[:, j], q_z.log_var[:, j])
    return torch.logsumexp(total, dim=1) - math.log(len(q_z.mu))


def _estimate(values: Tensor) -> MeanEstimate:
    """Average over draws, then over examples, (K, N)."""
    by_example = values.mean(dim=0)
    n = len(by_example)
    error = float(by_example.std()) / math.sqrt(n) if n > 1 else math.nan
    return MeanEstimate(float(by_example.mean()), error)
