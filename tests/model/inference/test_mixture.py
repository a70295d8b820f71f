"""The mixture draws what its density says, in fixed shares."""

import pytest
import torch

from model.distributions import DiagonalGaussian
from model.inference.fitting import Modes
from model.inference.mixture import SLOTS, Mixture
from model.inference.proposals import FullGaussian
from tests.model.mixture_pca import mixture_pca
from tests.model.ppca import Build, random

J = 2


def mixture(build: Build) -> Mixture:
    """Return a mixture around two modes, under a prior that is a mixture itself."""
    root = torch.tensor([[[0.5, 0.0], [0.3, 0.4]], [[1.0, 0.0], [-0.5, 0.7]]]).double()
    modes = Modes(FullGaussian(random(2, J), root), torch.tensor([0.0, -1.0]).double())
    encoder = DiagonalGaussian(random(1, J, seed=1), random(1, J, seed=2))
    return Mixture.around(modes, encoder, mixture_pca(build, J).vae)


def test_every_slot_is_given(build: Build) -> None:
    """Of 64 draws, to each mode by its mass, and to encoder and prior always."""
    q_z = mixture(build)

    assert sum(q_z.slots) == SLOTS
    assert min(q_z.slots) > 0
    first, second = (sum(s.slots for s in q_z.strata if s[0] == g) for g in (0, 1))
    assert first > 2 * second


@pytest.mark.slow("draws a quarter of a million times")
def test_draws_are_of_the_density(build: Build) -> None:
    """Weights of other densities, which it covers, have the mean one."""
    q_z, n = mixture(build), 256_000
    eps = random(n, q_z.noise_dim, seed=5)

    z = q_z.reparameterize(eps)

    log_q = q_z.log_prob(z, q_z.p_z.log_prob(z))
    for g in range(3):
        weights = (q_z.q_z.rows(torch.tensor(g)).log_prob(z) - log_q).exp()
        error = weights.std() / n**0.5
        assert (weights.mean() - 1).abs() < 4 * error
        assert error < 0.01
    weights = (q_z.p_z.log_prob(z) - log_q).exp()
    assert (weights.mean() - 1).abs() < 4 * weights.std() / n**0.5
    assert weights.max() < 16 + 1e-9


def test_the_density_is_that_of_the_parts(build: Build) -> None:
    """The shares' sum of the scaled Gaussians' densities and the prior's."""
    q_z, z = mixture(build), 2 * random(50, J, seed=6)
    log_p_z = q_z.p_z.log_prob(z)

    log_prob = q_z.log_prob(z, log_p_z)

    total = q_z.slots[-1] / SLOTS * log_p_z.exp()
    for component, scale, slots in q_z.strata:
        wider = FullGaussian(
            q_z.q_z.mu[component], scale * q_z.q_z.scale_tril[component]
        )
        total = total + slots / SLOTS * wider.log_prob(z).exp()
    torch.testing.assert_close(log_prob.exp(), total)
