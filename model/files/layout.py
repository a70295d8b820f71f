"""The axes of an array of pictures: channels last, as everything here has them."""

from typing import Any

from numpy.typing import NDArray

from model.files.contents import DataError
from model.files.options import LayoutName

_COLORS = (1, 3)


def channels_last(
    x: NDArray[Any], layout: LayoutName | None, *, file: str
) -> tuple[NDArray[Any], str | None]:
    """
    Return (N, H, W, C) of four axes in either order, and what was taken to be so.

    One or three channels at one end and not at the other are recognized; so are fewer
    than five where there are more at the other end. Other numbers of axes stay.

    Raises:
        DataError: Both orders are possible; or the array has no four axes, and the
            option is given.
    """
    if x.ndim != 4:
        if layout is not None:
            raise DataError(
                f"--layout {layout} is for arrays of four axes, {file} has shape"
                f" {x.shape}"
            )
        return x, None
    found = layout or _recognized(x.shape)
    if found is None:
        raise DataError(
            f"{file} of shape {x.shape} can have its channels first or last: say which"
            " with --layout nchw or --layout nhwc"
        )
    if found == "nhwc":
        return x, None
    n, channels, height, width = x.shape
    note = (
        f"{file} of shape {x.shape} is read as {n} pictures of {height} x {width} with"
        f" {channels} channel{'s' * (channels > 1)} first, as [{height}, {width},"
        f" {channels}]" + ("" if layout else ": --layout nhwc reads the channels last")
    )
    return x.transpose(0, 2, 3, 1), note


def _recognized(shape: tuple[int, ...]) -> LayoutName | None:
    _, first, height, last = shape
    if last in _COLORS and first not in _COLORS:
        return "nhwc"
    if first in _COLORS and last not in _COLORS:
        return "nchw"
    if first in _COLORS:
        return "nhwc" if first == height == last == 1 else None
    if min(first, last) > 4 or first == last:
        return None
    return "nchw" if first < last else "nhwc"
