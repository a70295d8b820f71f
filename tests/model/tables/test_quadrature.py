"""The points for moments: means of powers of a score, and of one with heavy tails."""

import math

import pytest
import torch

from model.tables.quadrature import normal_nodes


def test_weighted_points_have_the_moments_of_a_normal_score() -> None:
    """Of t, t^2 and t^4, and of exp(t) and its square: 0, 1, 3, e^(1/2) and e^2."""
    t, w = normal_nodes()

    found = [float((w * f).sum()) for f in (t, t**2, t**4, t.exp(), (2 * t).exp())]

    wanted = [0.0, 1.0, 3.0, math.exp(0.5), math.exp(2.0)]
    assert found == pytest.approx(wanted, rel=5e-3, abs=1e-12)


def test_weighted_points_are_as_likely_as_their_weights() -> None:
    """P(t <= c) within half of the largest weight, for every c."""
    t, w = normal_nodes()

    off = w.cumsum(dim=0) - 0.5 * w - torch.special.ndtr(t)

    assert float(off.abs().max()) < 1e-3
    assert float(w.max()) < 0.032
