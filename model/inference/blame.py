"""Which cells of a row of a table do not go with the others: log p(x_j | x_-j)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from model.config import Config
from model.distributions import DiagonalGaussian
from model.inference.estimate import widen
from model.inference.pauses import pause
from model.inference.proposals import encode_wide, pairs_at_once
from model.noise import Stream
from model.row_noise import RowNoise
from model.tables.layout import Planes
from model.vae import VAE

_PART = 1  # of a row's stream; the ELBO of `anomalies` reads part 0
_OF_WHOLE, _OF_PRIOR = 64, 32  # draws from q(z|x), and from p(z)
_OF_PARTS, _LEAST = 192, 4  # draws from all q(z|x_-j) together; from each at least


class Blame(NamedTuple):
    """
    log p(x_j) - log p(x_j | x_-j) of every cell, in nats, float64; NaN where missing.

    Attributes:
        nats: (N, C). Above 0 where a cell is less likely given the others than by its
            marginal. In a table it is at most log 1/EPSILON = 4.6.
        standard_error: (N, C).
    """

    nats: Tensor
    standard_error: Tensor


def n_draws_to_blame(config: Config) -> int:
    """Return the most draws of z that are decoded for one row; 0 if of no table."""
    if config.table is None:
        return 0
    n = len(config.table.columns)
    return _OF_WHOLE + _OF_PRIOR + n * _draws_each(n)


@torch.no_grad()
def blame(vae: VAE, x: Tensor, *, seed: int, first: int = 0) -> Blame:
    """
    Estimate what every cell has to do with the others, by importance sampling.

    p(x_j | x_-j) is the ratio of p(x) to p(x_-j), the integrals over z of p(x|z) p(z)
    and of p(x|z) p(z) / p(x_j|z). Draws from one mixture serve all of them: the
    encoder's q(z|x), its q(z|x_-j) for every j, which training with hidden cells makes
    close to p(z|x_-j), and the prior. Every draw is decoded once, and the error of a
    ratio is small because both integrals share it. The estimate is consistent, biased
    by half the square of its error, as any ratio of means is.

    Rows are computed one at a time, so that the bits of one depend on no other.

    Args:
        x: Rows of a table in the model's units, (N, 5 C).
        first: Position of the first row; its noise depends on seed and position.
    """
    known = Planes.of(x).known
    nats, error = x.new_full((2, *known.shape), math.nan, dtype=torch.float64)
    for i in range(len(x)):
        pause()
        if known[i].any():
            position = torch.tensor([first + i], device=x.device)
            noise = RowNoise.at(position, seed=seed, stream=Stream.ANOMALY, part=_PART)
            nats[i, known[i]], error[i, known[i]] = _of_row(vae, x[i : i + 1], noise)
    return Blame(nats, error)


def _of_row(vae: VAE, x: Tensor, noise: RowNoise) -> tuple[Tensor, Tensor]:
    """Return blame and error of the known cells of one row, (1, 5 C)."""
    planes = Planes.of(x)
    columns = planes.known[0].nonzero()[:, 0]
    mixture = _Mixture(vae, x, columns)
    z = mixture.sample(noise)
    log_p_z = vae.p_z.log_prob(z)
    of_cells = torch.cat(
        [
            vae.decode(part.to(x.dtype)).log_prob_per_dim(x)[:, columns].double()
            for part in torch.split(z, pairs_at_once(vae))
        ]
    )  # (K, M)
    whole = of_cells.sum(dim=1) + log_p_z - mixture.log_prob(z, log_p_z)  # (K,)
    without = whole[:, None] - of_cells  # (K, M)
    log_p, log_q = torch.logsumexp(whole, dim=0), torch.logsumexp(without, dim=0)
    # The delta method: the logarithm of a ratio of two sums over the same draws, whose
    # changes sum to 0. That draws are from strata makes the true error smaller.
    change = (whole - log_p).exp()[:, None] - (without - log_q).exp()
    squares = change.square()
    variance = squares.sum(dim=0)
    spread = (squares - squares.mean(dim=0)).square().sum(dim=0)
    freedom = 2 * variance.square() / spread  # (Satterthwaite 1946)
    shares = planes.log_share[0, columns].double()
    return shares - (log_p - log_q), widen(variance.sqrt(), freedom)


class _Mixture:
    """q(z|x_-j) for M columns j, then q(z|x), then the prior, sampled in strata."""

    def __init__(self, vae: VAE, x: Tensor, columns: Tensor) -> None:
        n = len(columns)
        observed = Planes.of(x).known.repeat(n + 1, 1)
        observed[torch.arange(n, device=x.device), columns] = False
        self._q_z = encode_wide(vae, vae.observed_part(x.expand(n + 1, -1), observed))
        self._p_z = vae.p_z
        self.sizes = [*[_draws_each(n)] * n, _OF_WHOLE, _OF_PRIOR]

    def sample(self, noise: RowNoise) -> Tensor:
        """Draw z, (K, J)."""
        q_z, device = self._q_z, self._q_z.mu.device
        j = q_z.mu.shape[-1]
        eps = noise.normal(sum(self.sizes), j + 1)[0]
        own, of_prior = eps[:-_OF_PRIOR, :j], eps[-_OF_PRIOR:]
        sizes = torch.tensor(self.sizes[:-1], device=device)
        index = torch.arange(len(sizes), device=device).repeat_interleave(sizes)
        last = self._p_z.sample(of_prior[:, :j], torch.special.ndtr(of_prior[:, j]))
        return torch.cat([q_z.rows(index).reparameterize(own), last])

    def log_prob(self, z: Tensor, log_p_z: Tensor) -> Tensor:
        """Return the log density of the mixture, (K,), given that of the prior."""
        sizes = log_p_z.new_tensor(self.sizes)
        each = torch.cat([_log_densities(self._q_z, z), log_p_z[:, None]], dim=1)
        return torch.logsumexp(each + (sizes / sizes.sum()).log(), dim=1)


def _log_densities(q_z: DiagonalGaussian, z: Tensor) -> Tensor:
    """Return the log density of each of G Gaussians at each of K values, (K, G)."""
    precision = (-q_z.log_var).exp()  # (G, J)
    scaled = q_z.mu * precision
    # (z - mu)^2 expanded: (K, G, J) may not fit into memory.
    square = z.square() @ precision.T - 2 * z @ scaled.T
    square = square + (q_z.mu * scaled).sum(dim=1)
    log_root = 0.5 * (q_z.log_var + math.log(2 * math.pi)).sum(dim=1)
    return -0.5 * square - log_root


def _draws_each(n_columns: int) -> int:
    """Return the draws from each q(z|x_-j)."""
    return max(_LEAST, _OF_PARTS // max(1, n_columns))
