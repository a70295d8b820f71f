"""The comparison of the defaults pools splits, and its bar means what it says."""

import numpy as np
import pytest

from benchmarks.defaults import CASES, Case, Scores, pool


def scores(ours: float, *, seconds: float = 5.0, spread: float = 0.1) -> Scores:
    """Return 50 rows that our model is better by `ours` on, with some spread."""
    draw = np.random.default_rng(0)
    full = draw.normal(-3, 1, 50)
    other = full - 0.1
    noise = spread * draw.normal(size=50)
    noise -= noise.mean()
    return Scores(other, full, other, other, full + ours + noise, seconds)


@pytest.mark.parametrize(
    ("ours", "spread", "seconds", "is_met"),
    [
        (0.5, 0.1, 5.0, True),
        (-0.01, 0.5, 5.0, True),  # within two standard errors
        (-0.04, 0.01, 5.0, False),  # not within them
        (-0.3, 5.0, 5.0, False),  # within them, and yet 0.1 nats per value
        (0.5, 0.1, 61.0, False),
    ],
)
def test_the_bar_is_two_standard_errors_and_a_twentieth_of_a_nat_per_value(
    ours: float, spread: float, seconds: float, is_met: bool
) -> None:
    """Compared with the better of the two, paired by row."""
    splits = [scores(ours, seconds=seconds, spread=spread)] * 3

    outcome = pool("x", Case(lambda: np.zeros((1, 1))), splits, n_values=3)

    assert outcome.difference == pytest.approx(ours)
    assert outcome.is_met == is_met


@pytest.mark.slow("imports scikit-learn")
def test_there_are_twelve_data_sets() -> None:
    """All of finite numbers, with rows to split."""
    assert len(CASES) == 12
    for case in CASES.values():
        x = case.rows()
        assert np.isfinite(x).all()
        assert len(x) >= 150
