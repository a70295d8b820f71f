"""Quadratic functions have their expectation exactly, others without bias."""

import math

import pytest
import torch
from torch import Tensor

from model.inference.cubature import Frames, default_points, frames, match_moments
from tests.model.ppca import random

J = pytest.mark.parametrize("latent_dim", [1, 2, 5])


def quadratic(eps: Tensor) -> tuple[Tensor, Tensor]:
    """Return a quadratic function's values at eps, (R, P, J), and its expectation."""
    latent_dim = eps.shape[-1]
    a, b = random(latent_dim, latent_dim, seed=7), random(latent_dim, seed=8)
    return (eps @ a * eps).sum(dim=2) + eps @ b + 3, a.trace() + 3


def rule(n_rows: int, n_frames: int, latent_dim: int) -> Frames:
    """Return frames made of noise."""
    return frames(
        random(n_rows, n_frames, latent_dim, latent_dim, seed=1),
        random(n_rows, n_frames, latent_dim + 2, seed=2),
    )


@J
def test_matched_noise_has_the_moments(latent_dim: int) -> None:
    """Its mean is 0 and its covariance I in every row, to rounding."""
    eps = match_moments(random(4, 16, latent_dim))

    assert eps.shape == (4, 32, latent_dim)
    torch.testing.assert_close(eps.mean(dim=1), torch.zeros_like(eps[:, 0]))
    covariance = eps.transpose(1, 2) @ eps / 32
    torch.testing.assert_close(
        covariance, torch.eye(latent_dim).double().expand_as(covariance)
    )


@J
def test_a_quadratic_function_has_no_error(latent_dim: int) -> None:
    """Each single frame, and matched noise, gives its expectation."""
    eps = match_moments(random(4, 16, latent_dim))
    values, exact = quadratic(eps)
    points = rule(4, 3, latent_dim)

    estimates = points.expectations(quadratic(points.points)[0])

    torch.testing.assert_close(values.mean(dim=1), exact.expand(4))
    torch.testing.assert_close(estimates, exact.expand(4, 3))


@J
def test_frames_are_unbiased_for_other_functions(latent_dim: int) -> None:
    """E[cos(a'eps)] = exp(-|a|^2 / 2), within four standard errors of the frames'."""
    a = 1 + 0.1 * torch.arange(latent_dim).double()
    points = rule(1, 20_000, latent_dim)

    estimates = points.expectations(torch.cos(points.points @ a))[0]

    error = estimates.std() / math.sqrt(20_000)
    assert abs(estimates.mean() - torch.exp(-a.square().sum() / 2)) < 4 * error
    assert error < 0.05


def test_the_frames_are_turned_in_all_directions() -> None:
    """Their first arms are uniform on the sphere: E[(u'a)^4] = 3 / (J (J + 2))."""
    points = rule(1, 20_000, 3)
    arms = points.points[0, 1:].reshape(20_000, 6, 3)[:, 0]
    u = arms / arms.norm(dim=1, keepdim=True)

    fourth = u[:, 0] ** 4

    assert abs(fourth.mean() - 0.2) < 4 * fourth.std() / math.sqrt(20_000)
    assert abs(u.mean(dim=0)).max() < 4 / math.sqrt(3 * 20_000)


@pytest.mark.parametrize("latent_dim", [1, 2, 17, 50, 101])
def test_the_default_number_of_points_suffices(latent_dim: int) -> None:
    """It is even and at least 4 J."""
    n = default_points(latent_dim)

    assert n % 2 == 0
    assert n >= 4 * latent_dim
