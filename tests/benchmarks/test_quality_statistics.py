"""The statistics of the figures of quality."""

import numpy as np
import pytest

from benchmarks.quality.statistics import auroc, mean


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    """Counted pair by pair, a tie as half, the area is the same."""
    draw = np.random.default_rng(0)
    inside, outside = draw.integers(0, 9, 40), draw.integers(3, 12, 30)
    pairs = [float(o > i) + 0.5 * float(o == i) for i in inside for o in outside]

    found = auroc(inside.astype(float), outside.astype(float))

    assert abs(found.value - np.mean(pairs)) < 1e-12


@pytest.mark.slow("draws many samples")
def test_the_error_of_auroc_is_its_deviation_over_samples() -> None:
    """
    Over 4,000 samples the mean of DeLong's variance is the variance of the area.

    Its relative error is that of a variance of 4,000 values, 2.2 %; 4 of those.
    """
    draw = np.random.default_rng(1)
    found = [
        auroc(draw.standard_normal(60), 1 + draw.standard_normal(40))
        for _ in range(4000)
    ]

    reported = np.mean([each.standard_error**2 for each in found])
    seen = np.var([each.value for each in found], ddof=1)

    assert abs(reported / seen - 1) < 0.09


def test_a_mean_has_the_error_of_a_mean() -> None:
    """Of 1, 2, 3, 4: 2.5, with the standard deviation over the root of their number."""
    found = mean(np.array([1.0, 2.0, 3.0, 4.0]))

    assert found.value == 2.5
    assert abs(found.standard_error - np.sqrt(5 / 3) / 2) < 1e-15
    assert found.shown(1) == "2.5 \u00b1 0.6"
