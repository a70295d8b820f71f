"""Channels first or last: recognized, asked about, or said by the option."""

import numpy as np
import pytest

from model.files import DataError
from model.files.layout import channels_last
from model.files.options import LayoutName


def array(shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Return distinct numbers."""
    return np.arange(np.prod(shape)).reshape(shape)


@pytest.mark.parametrize("shape", [(5, 3, 32, 32), (5, 1, 28, 28), (5, 3, 8, 16)])
def test_channels_first_are_recognized_and_said(shape: tuple[int, ...]) -> None:
    """(N, 3, H, W) is N pictures of 3 channels, not of W."""
    x = array(shape)

    found, note = channels_last(x, None, file="x.npy")

    np.testing.assert_array_equal(found, np.moveaxis(x, 1, -1))
    assert note is not None
    assert f"{shape[1]} channel" in note
    assert "--layout nhwc" in note


@pytest.mark.parametrize(
    "shape",
    [
        (5, 32, 32, 3),
        (5, 28, 28, 1),
        (5, 8, 8, 2),
        (5, 8, 8, 4),
        (5, 1, 1, 1),
        (5, 2),
        (5, 3, 4),
    ],
)
def test_channels_last_and_other_arrays_stay(shape: tuple[int, ...]) -> None:
    """And nothing is said of them."""
    x = array(shape)

    found, note = channels_last(x, None, file="x.npy")

    assert found is x
    assert note is None


@pytest.mark.parametrize(
    "shape", [(5, 3, 8, 3), (5, 3, 3, 3), (5, 1, 8, 3), (5, 16, 16, 16), (5, 8, 9, 10)]
)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_what_can_be_both_is_asked_about(
    shape: tuple[int, ...], layout: LayoutName
) -> None:
    """The error names the option, and the option decides."""
    x = array(shape)
    with pytest.raises(DataError, match=r"x.npy of shape .* --layout nchw or --layout"):
        channels_last(x, None, file="x.npy")

    found, _ = channels_last(x, layout, file="x.npy")

    expected = x if layout == "nhwc" else np.moveaxis(x, 1, -1)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(5, 2), (5, 3, 4), (5, 1, 2, 3, 4)])
def test_the_option_is_for_four_axes(shape: tuple[int, ...]) -> None:
    """An option that would be ignored is an error instead."""
    with pytest.raises(DataError, match=r"--layout nchw is for arrays of four axes"):
        channels_last(array(shape), "nchw", file="x.npy")
