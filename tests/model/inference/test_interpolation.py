"""Paths start and end where they should, and keep what they promise in between."""

import math
from collections.abc import Callable
from statistics import NormalDist

import pytest
import torch
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.inference.interpolation import (
    aggregate_quantiles,
    between_quantiles,
    great_circle,
    line,
    traverse,
)
from model.prior import StandardNormal

Path = Callable[[Tensor, Tensor, Tensor], Tensor]

T = torch.linspace(0, 1, 11).double()
PATHS = pytest.mark.parametrize("path", [line, great_circle])


def random(*shape: int, seed: int = 0) -> Tensor:
    """Return normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@PATHS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_end_points_are_exact(path: Path, dtype: torch.dtype) -> None:
    """To the bit, for random, equal, opposite and zero latents."""
    a = random(4, 7).to(dtype)
    b = torch.stack([random(7, seed=1).to(dtype), a[1], -3 * a[2], torch.zeros(7)])
    b = b.to(dtype)

    for start, end in ((a, b), (b, a)):
        z = path(start, end, T)

        assert z.shape == (11, 4, 7)
        assert z.dtype == dtype
        assert torch.equal(z[0], start)
        assert torch.equal(z[-1], end)
        assert z.isfinite().all()


def test_a_line_is_even() -> None:
    """Steps between neighbors are a tenth of the way, all the same."""
    a, b = random(3, 5), random(3, 5, seed=1)

    z = line(a, b, T)

    torch.testing.assert_close(z.diff(dim=0), ((b - a) / 10).expand(10, -1, -1))


def test_a_great_circle_is_slerp_where_norms_are_equal() -> None:
    """Against the formula of White (2016), with angles from small to nearly pi."""
    for seed in range(20):
        a, b = random(6, seed=seed), random(6, seed=100 + seed)
        b = b * a.norm() / b.norm()
        omega = torch.arccos(torch.dot(a, b) / a.norm() ** 2)

        z = great_circle(a, b, T)

        t = T[:, None]
        slerp = (
            torch.sin((1 - t) * omega) * a + torch.sin(t * omega) * b
        ) / omega.sin()
        torch.testing.assert_close(z, slerp, rtol=1e-9, atol=1e-9)


def test_a_great_circle_keeps_norm_and_pace() -> None:
    """Norms go evenly from one to the other, and so does the angle from the start."""
    a, b = random(5, 8), 3 * random(5, 8, seed=1)

    z = great_circle(a, b, T)

    norms = line(a.norm(dim=1), b.norm(dim=1), T)
    torch.testing.assert_close(z.norm(dim=-1), norms)
    cosine = torch.nn.functional.cosine_similarity
    omega = torch.arccos(cosine(a, b, dim=-1))
    angles = torch.arccos(cosine(z[1:], a, dim=-1))
    torch.testing.assert_close(angles, T[1:, None] * omega)


@pytest.mark.parametrize("factor", [1.0, 2.5, 1e-8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_between_parallel_latents_it_is_the_line(
    factor: float, dtype: torch.dtype
) -> None:
    """There is no angle to turn by."""
    a = random(4, 6).to(dtype)

    z = great_circle(a, factor * a, T)

    torch.testing.assert_close(z, line(a, factor * a, T))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_between_opposite_latents_it_is_half_a_circle(
    factor: float, dtype: torch.dtype
) -> None:
    """In one plane, norms as promised, halfway orthogonal to both, always the same."""
    a = random(4, 6).to(dtype)
    a[0] = torch.tensor([0, 0, 2, 0, 0, 0])

    z = great_circle(a, -factor * a, T)

    assert torch.equal(z, great_circle(a, -factor * a, T))
    norms = line(a.norm(dim=1), factor * a.norm(dim=1), T)
    torch.testing.assert_close(z.norm(dim=-1), norms)
    middle = z[5]
    tolerance = 20 * torch.finfo(dtype).eps * float(factor * a.norm() ** 2)
    assert ((middle * a).sum(dim=1).abs() < tolerance).all()
    for n in range(4):
        assert int(torch.linalg.matrix_rank(z[:, n], rtol=1e-5)) == 2


@pytest.mark.parametrize("gap", [1e-3, 1e-7, 1e-10, 1e-15])
def test_nearly_opposite_latents_do_not_blow_up(gap: float) -> None:
    """The norm stays between both, where White's formula has one of 1 / gap."""
    a = torch.tensor([1.0, 0.0, 0.0]).double()
    b = torch.tensor([-2.0, gap, 0.0]).double()

    z = great_circle(a, b, T)

    norms = z.norm(dim=-1)
    assert ((norms > 1 - 1e-12) & (norms < b.norm() + 1e-12)).all()
    assert z.diff(dim=0).norm(dim=-1).max() < 0.7


def test_a_zero_latent_has_no_direction() -> None:
    """From 0, to 0 and between two zeros it is the line."""
    zero, a = torch.zeros(6).double(), random(6)

    for start, end in ((zero, a), (a, zero), (zero, zero)):
        assert torch.equal(great_circle(start, end, T), line(start, end, T))


def test_one_dimension_has_no_circle() -> None:
    """For J = 1 it is the line, through 0 if need be."""
    a = torch.tensor([[2.0], [1.0]]).double()

    assert torch.equal(great_circle(a, -a, T), line(a, -a, T))


@PATHS
@pytest.mark.parametrize("t", [-0.1, 1.1, math.nan])
def test_what_is_no_path_is_refused(path: Path, t: float) -> None:
    """Positions outside [0, 1] and latents of two shapes."""
    with pytest.raises(ValueError, match=r"expected t in \[0, 1\], got (-0.1|1.1|nan)"):
        path(torch.zeros(2), torch.ones(2), torch.tensor([0.0, t]).double())
    with pytest.raises(ValueError, match=r"one shape, got \[2\] and \[3\]"):
        path(torch.zeros(2), torch.ones(3), T)


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, math.nan])
def test_a_level_outside_is_refused(level: float) -> None:
    """The quantile of 0 and of 1 is infinite."""
    with pytest.raises(ValueError, match=r"levels in \(0, 1\), got"):
        aggregate_quantiles(
            DiagonalGaussian(torch.zeros(1, 2), torch.zeros(1, 2)),
            torch.tensor([0.5, level]),
        )


def test_the_aggregate_of_one_example_has_its_own_quantiles() -> None:
    """They are mu + sigma times those of the prior."""
    q_z = DiagonalGaussian(3 * random(1, 4), random(1, 4, seed=1))
    levels = torch.tensor([0.01, 0.5, 0.8]).double()

    quantiles = aggregate_quantiles(q_z, levels)

    wanted = q_z.mu.T + q_z.sigma.T * StandardNormal(4).quantiles(levels)
    torch.testing.assert_close(quantiles, wanted)


def test_the_aggregate_has_its_share_below_each_quantile() -> None:
    """The mixture's distribution function, from Python's, inverts them."""
    q_z = DiagonalGaussian(3 * random(20, 2), random(20, 2, seed=1))
    levels = torch.tensor([0.001, 0.25, 0.5, 0.999]).double()

    quantiles = aggregate_quantiles(q_z, levels)

    for j in range(2):
        parts = [
            NormalDist(float(m), float(s))
            for m, s in zip(q_z.mu[:, j], q_z.sigma[:, j], strict=True)
        ]
        for value, level in zip(quantiles[j].tolist(), levels.tolist(), strict=True):
            share = sum(part.cdf(value) for part in parts) / 20
            assert share == pytest.approx(level, abs=1e-12)


def test_between_quantiles_of_a_gaussian_are_its_own() -> None:
    """Linear in the normal score, to rounding, whatever the levels that are known."""
    q_z = DiagonalGaussian(3 * random(1, 4), random(1, 4, seed=1))
    known_levels = torch.tensor([0.001, 0.3, 0.31, 0.999]).double()
    levels = torch.tensor([0.001, 0.02, 0.305, 0.31, 0.9, 0.999]).double()

    found = between_quantiles(
        aggregate_quantiles(q_z, known_levels), known_levels, levels
    )

    torch.testing.assert_close(found, aggregate_quantiles(q_z, levels))


def test_between_quantiles_lie_between_those_known() -> None:
    """Of two far modes too, where they jump; at the known levels they are exact."""
    mu = torch.tensor([-5.0, 5.0])[:, None].double()
    q_z = DiagonalGaussian(mu, torch.full_like(mu, -4.0))
    known_levels = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    known = aggregate_quantiles(q_z, known_levels)

    found = between_quantiles(known, known_levels, known_levels)
    middle = between_quantiles(known, known_levels, known_levels[:-1] + 0.05)

    torch.testing.assert_close(found, known)
    assert (middle > known[:, :-1]).all()
    assert (middle < known[:, 1:]).all()


@pytest.mark.parametrize("level", [0.09, 0.91, math.nan])
def test_a_level_beyond_those_known_is_refused(level: float) -> None:
    """No quantile is made up."""
    known_levels, levels = (
        torch.tensor(values, dtype=torch.float64)
        for values in ([0.1, 0.5, 0.9], [0.5, level])
    )

    with pytest.raises(ValueError, match=r"levels in \[0\.1, 0\.9\], got"):
        between_quantiles(torch.zeros(2, 3).double(), known_levels, levels)


def test_a_traversal_moves_one_dimension_only() -> None:
    """Through the quantiles given for it, for each of several latents."""
    z, quantiles = random(5, 3).float(), random(3, 4, seed=1)

    path = traverse(z, 1, quantiles)

    assert path.shape == (4, 5, 3)
    assert torch.equal(path[..., 1], quantiles[1].float()[:, None].expand(4, 5))
    assert torch.equal(path[..., [0, 2]], z[:, [0, 2]].expand(4, 5, 2))
    assert torch.equal(traverse(z[0], 1, quantiles), path[:, 0])


@pytest.mark.parametrize(
    ("dim", "shape", "message"),
    [
        (3, (3, 4), "from 0 to 2, got 3"),
        (-1, (3, 4), "from 0 to 2, got -1"),
        (0, (4, 3), r"quantiles \[3, Q\], got \[4, 3\]"),
        (0, (3,), r"quantiles \[3, Q\], got \[3\]"),
    ],
)
def test_an_impossible_traversal_is_refused(
    dim: int, shape: tuple[int, ...], message: str
) -> None:
    """A dimension that is not there, and quantiles of another latent space."""
    with pytest.raises(ValueError, match=message):
        traverse(torch.zeros(3), dim, torch.zeros(shape))
