"""
Fit Gaussians with full covariance to p(z|x) of one example, one for each mode.

Like q(z|x), they are variational approximations, but each is fitted to one example and
has correlations between dimensions, so importance weights of its draws vary little.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from model.distributions import DiagonalGaussian, standard_normal_log_prob
from model.inference.example import Example
from model.inference.proposals import FullGaussian
from model.row_noise import RowNoise

_MIN_POINTS = 32
_MAX_STEPS = 30
_CONVERGED = 0.02  # stop when a step gains less than this, in nats of the ELBO
_SHORTER = 0.3
# The variance in any direction is at most twice the prior's.
_MIN_PRECISION = 0.5

N_PILOTS = 128  # draws of each kind, as starting points in the search for modes
_WIDER = 2.5
_MAX_MODES = 8
FEW_DIMENSIONS = 10
_MAX_FAILURES = 2
_NEGLIGIBLE = 12.0  # a mode counts if its ELBO is within this of the best, in nats


class Modes(NamedTuple):
    """
    Gaussians around the modes of p(z|x), first the one that the encoder's q leads to.

    Attributes:
        q_z: M Gaussians, (M, J), float64.
        elbo: The ELBO of each up to a common constant, in nats, (M,).
    """

    q_z: FullGaussian
    elbo: Tensor

    @property
    def main(self) -> FullGaussian:
        """The Gaussian with the most mass, (1, J)."""
        return self.q_z.rows(self.elbo.argmax()[None])

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log density at z, (K, J), of all by their mass, (K,)."""
        off = (z - self.q_z.mu[:, None]).transpose(1, 2)  # (M, J, K)
        eps = torch.linalg.solve_triangular(self.q_z.scale_tril, off, upper=False)
        scale = self.q_z.scale_tril.diagonal(dim1=1, dim2=2).log().sum(dim=1)  # (M,)
        shares = torch.log_softmax(self.elbo, dim=0) - scale
        parts = standard_normal_log_prob(eps.transpose(1, 2)) + shares[:, None]
        return torch.logsumexp(parts, dim=0)


def sphere(noise: RowNoise, latent_dim: int) -> Tensor:
    """
    Return points with exactly mean 0 and covariance I, (K, J), for the first row.

    They are orthogonal frames with random radii, and their mirror images. The mean over
    them is exact for polynomials of degree 3.
    """
    n_frames = math.ceil(_MIN_POINTS / (2 * latent_dim))
    matrices = noise.normal(n_frames, latent_dim, latent_dim)[0]
    square = noise.normal(n_frames, latent_dim)[0].square().sum(dim=1)  # (F,)
    radius = (latent_dim * square / square.mean()).sqrt()
    frames, _ = torch.linalg.qr(matrices)
    half = (frames * radius[:, None, None]).reshape(-1, latent_dim)
    return torch.cat([half, -half])


def fit(example: Example, start: DiagonalGaussian, *, noise: RowNoise) -> Modes:
    """
    Fit one Gaussian, starting from q(z|x).

    Args:
        start: q(z|x), (1, J), float64.
        noise: Noise of one row.
    """
    search = _Search(example, sphere(noise, example.p_z.latent_dim))
    found = search.climb(start.mu[0], torch.diag(start.sigma[0]), ())
    return _modes([found])


def fit_modes(
    example: Example,
    start: DiagonalGaussian,
    *,
    noise: RowNoise,
    more_pilots: int = 0,
    width: float = 1.0,
) -> Modes:
    """
    Fit a Gaussian starting from q(z|x), then others where the known ones are too low.

    Each further search starts at the pilot draw with the highest p(x, z) relative to
    the known modes; pilots are drawn from the prior and around the first mode. It ends
    after two searches without a new mode.

    Args:
        start: q(z|x), (1, J), float64.
        noise: Noise of one row.
        more_pilots: 128 more pilots from the prior, so many times.
        width: Of a further search when it starts, in units of q. A wide one may move
            from a small mode to a large one.
    """
    search = _Search(example, sphere(noise, example.p_z.latent_dim))
    spread = torch.diag(start.sigma[0])
    modes = [search.climb(start.mu[0], spread, ())]
    z, log_joint = search.pilots(modes[0], noise, more_pilots)
    j, n_climbs, n_failures = z.shape[1], 0, 0
    while n_failures < _MAX_FAILURES and len(modes) < _MAX_MODES:
        excess = log_joint - torch.logsumexp(
            torch.stack([mode.tail(z) for mode in modes]), dim=0
        )
        best = int(excess.argmax())
        if n_climbs >= _always(j) and float(excess[best]) < 2 + j / 4:
            break
        n_climbs += 1
        found = search.climb(z[best], width * spread, modes)
        log_joint[best] = -math.inf
        if found.is_new(modes):
            modes.append(found)
        else:
            n_failures += 1
    return _modes(modes)


class _Fit(NamedTuple):
    """A Gaussian, its ELBO, the gradient E_q[grad log p(x, z)] and -E_q[Hessian]."""

    elbo: float
    mu: Tensor  # (J,)
    scale_tril: Tensor  # (J, J)
    gradient: Tensor  # (J,)
    curvature: Tensor  # (J, J)

    def square_distance(self, z: Tensor) -> Tensor:
        """Return (z - mu)' S^-1 (z - mu) for z, (..., J)."""
        eps = torch.linalg.solve_triangular(
            self.scale_tril, (z - self.mu)[..., None], upper=False
        )
        square: Tensor = eps.square().sum(dim=(-2, -1))
        return square

    def tail(self, z: Tensor) -> Tensor:
        """Return log p(x, z) approximated by a t density with J degrees of freedom."""
        j = len(self.mu)
        # At the mode, the ELBO minus log det L is log p(x, mu) - J / 2.
        log_joint = self.elbo - float(self.scale_tril.diagonal().log().sum())
        return log_joint + 0.5 * j - j * torch.log1p(self.square_distance(z) / j)

    def is_near(self, other: "_Fit") -> bool:
        """Return whether the other's mean lies within the bulk of this one."""
        return float(self.square_distance(other.mu)) < 0.25 * math.sqrt(len(self.mu))

    def is_new(self, known: "list[_Fit]") -> bool:
        """Return whether this mode is not negligible and not among the known ones."""
        best = max(mode.elbo for mode in known)
        return self.elbo > best - _NEGLIGIBLE and not any(
            mode.is_near(self) for mode in known
        )

    def step(self, length: float, least: float) -> tuple[Tensor, Tensor]:
        """
        Return mean and factor after a full or partial step of Newton's method.

        mu <- mu + S E_q[grad], S^-1 <- -E_q[Hessian] (Opper & Archambeau 2009), where
        the new precision is a mean of old and new, kept positive definite.
        """
        precision = torch.cholesky_inverse(self.scale_tril)
        blended = (1 - length) * precision + length * self.curvature
        values, vectors = torch.linalg.eigh(blended)
        values = values.clamp(min=least)
        mu = self.mu + length * (vectors / values) @ (vectors.T @ self.gradient)
        return mu, _triangular(vectors / values.sqrt())


class _Search(NamedTuple):
    """Maximizes the ELBO of one example with fixed noise points, (K, J)."""

    example: Example
    eps: Tensor

    def climb(
        self, mu: Tensor, scale_tril: Tensor, known: "list[_Fit] | tuple[()]"
    ) -> _Fit:
        """Maximize the ELBO over mean and covariance; stop near a known mode."""
        best, length = self._fit(mu, scale_tril), 1.0
        for _ in range(_MAX_STEPS):
            if not math.isfinite(best.elbo):
                best = self._fit(best.mu, _SHORTER * best.scale_tril)
                continue
            new = self._fit(*best.step(length, self._least))
            if new.elbo > best.elbo:
                gain, best, length = new.elbo - best.elbo, new, 1.0
                if gain < _CONVERGED:
                    break
            elif length < 0.01:
                break
            else:
                length *= _SHORTER
            if any(mode.is_near(best) for mode in known):
                break
        return best

    @torch.no_grad()
    def pilots(
        self, first: _Fit, noise: RowNoise, n_more: int
    ) -> tuple[Tensor, Tensor]:
        """Draw from the prior and around the first mode; return z and log p(x, z)."""
        eps = noise.normal(2 * N_PILOTS, len(first.mu))[0]
        prior = self._from_prior(eps[:N_PILOTS], noise)
        wide = first.mu + _WIDER * eps[N_PILOTS:] @ first.scale_tril.T
        parts = [torch.cat([prior, wide])]
        for _ in range(n_more):
            eps = noise.normal(N_PILOTS, len(first.mu))[0]
            parts.append(self._from_prior(eps, noise))
        log_joint = [self.example.log_joint(z) for z in parts]
        return torch.cat(parts), torch.cat(log_joint)

    def _from_prior(self, eps: Tensor, noise: RowNoise) -> Tensor:
        """Draw from the prior, from the components of a mixture in strata."""
        strata = torch.arange(N_PILOTS, device=eps.device)
        u = (strata + noise.uniform(N_PILOTS)[0]) / N_PILOTS
        return self.example.p_z.sample(eps, u)

    @property
    def _least(self) -> float:
        widest = self.example.p_z.moments(self.eps.device).log_var.max()
        return _MIN_PRECISION * math.exp(-float(widest))

    def _fit(self, mu: Tensor, scale_tril: Tensor) -> _Fit:
        """Compute the ELBO and its derivatives; an ELBO that is not finite is -inf."""
        with torch.enable_grad():
            z = (mu + self.eps @ scale_tril.T).detach().requires_grad_()
            log_joint = self.example.log_joint(z)
            (slope,) = torch.autograd.grad(log_joint.sum(), z)
        slope = slope.double()
        # E[Hessian] = L'^-1 E[eps grad'] (Price's theorem), symmetric in expectation.
        moment = self.eps.T @ slope / len(self.eps)
        curvature = -torch.linalg.solve_triangular(scale_tril.T, moment, upper=True)
        entropy = scale_tril.diagonal().log().sum()
        elbo = float(log_joint.detach().mean() + entropy)
        is_finite = math.isfinite(elbo) and bool(curvature.isfinite().all())
        return _Fit(
            elbo=elbo if is_finite else -math.inf,
            mu=mu,
            scale_tril=scale_tril,
            gradient=slope.mean(dim=0),
            curvature=0.5 * (curvature + curvature.T),
        )


def max_points(latent_dim: int) -> int:
    """Return the most draws of z that `fit_modes` decodes for one example."""
    n_frames = math.ceil(_MIN_POINTS / (2 * latent_dim))
    n_climbs = _MAX_MODES + _MAX_FAILURES - 1
    n_points = n_frames * 2 * latent_dim
    return n_climbs * (_MAX_STEPS + 1) * n_points + 2 * N_PILOTS


def _always(latent_dim: int) -> int:
    """Return how many searches are made even if no pilot suggests another mode."""
    return _MAX_FAILURES if latent_dim <= FEW_DIMENSIONS else 0


def _triangular(root: Tensor) -> Tensor:
    """Return the lower triangular L with L L' = root root', (J, J)."""
    r: Tensor = torch.linalg.qr(root.T).R
    return (r * r.diagonal().sign()[:, None]).T


def _modes(found: list[_Fit]) -> Modes:
    q_z = FullGaussian(
        torch.stack([mode.mu for mode in found]),
        torch.stack([mode.scale_tril for mode in found]),
    )
    return Modes(q_z, q_z.mu.new_tensor([mode.elbo for mode in found]))
