"""Binarization: exact at the ends and at one half, and unbiased between."""

import numpy as np
import pytest

from model.binarization import bernoulli, threshold

GRAY = np.arange(256, dtype=np.uint8).astype(np.float32) / np.float32(255)


def test_threshold_is_gray_of_at_least_128() -> None:
    """Of the 256 gray values exactly 128 to 255 become 1."""
    x = threshold(GRAY)

    np.testing.assert_array_equal(x, (np.arange(256) >= 128).astype(np.float32))
    assert x.dtype == np.float32


def test_threshold_takes_one_half_as_one() -> None:
    """The boundary itself is 1, and the float just below it is 0."""
    below = np.nextafter(np.float32(0.5), np.float32(0))

    x = threshold(np.array([below, 0.5], dtype=np.float32))

    np.testing.assert_array_equal(x, [0, 1])


def test_black_and_white_are_certain() -> None:
    """Noise of 0 leaves x = 0 at 0, and the largest noise leaves x = 1 at 1."""
    largest = np.nextafter(np.float32(1), np.float32(0))
    uniform = np.array([0, largest, 0, largest], dtype=np.float32)

    x = bernoulli(np.array([0, 0, 1, 1], dtype=np.float32), uniform)

    np.testing.assert_array_equal(x, [0, 0, 1, 1])
    assert x.dtype == np.float32


def test_bernoulli_has_the_gray_value_as_its_mean() -> None:
    """Over an even grid of noise the mean is x to within one step of the grid."""
    n = 2**12
    uniform = np.repeat((np.arange(n)[:, None] + 0.5) / n, 256, axis=1)

    x = bernoulli(np.broadcast_to(GRAY, uniform.shape), uniform)

    np.testing.assert_allclose(x.mean(axis=0), GRAY, atol=1 / n)


def test_noise_is_never_shared_between_rows() -> None:
    """Noise that would be broadcast is refused."""
    with pytest.raises(
        ValueError, match=r"expected uniform noise \(3, 2\), got \(2,\)"
    ):
        bernoulli(np.zeros((3, 2)), np.zeros(2))
