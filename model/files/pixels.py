"""
The pixels of a picture: the one meaning of a picture, in a file and in a request.

Conversions lose nothing: gray becomes RGB by repeating the channel, RGB becomes gray
only if its channels are equal, palettes are resolved, CMYK and YCbCr become RGB, 1, 2
and 4 bits are widened, and 16 bits per channel stay 16 bits, which Pillow alone would
cut down to 8 for all but gray pictures. Only where it is asked for, transparent pixels
are composited and colors turned gray.
"""

import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

Mode = Literal["L", "RGB"]
Open = Callable[[], Image.Image]
Pixels = NDArray[np.uint8] | NDArray[np.uint16]

# Every exception that Pillow is known to raise for damaged files.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    RuntimeError,
    AssertionError,  # a missing palette
    struct.error,
    zlib.error,
)

_GRAY = ("1", "L", "LA", "La")
_COLOR = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
_DEEP_GRAY = ("I;16", "I;16L", "I;16B", "I;16N")
# How to decode 16 bits per channel: modes and raw modes whose bytes together are the
# channels, the more significant bytes first. Gray with alpha has four bytes per pixel.
_DEEP: dict[str, tuple[tuple[str, str], ...]] = {
    "LA;16B": (("RGBA", "RGBA"),),
    "RGB;16B": (("RGB", "RGB;16B"), ("RGB", "RGB;16L")),
    "RGBA;16B": (("RGBA", "RGBA;16B"), ("RGBA", "RGBA;16L")),
}

SWAPPED = (5, 6, 7, 8)  # orientations that swap width and height
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TILE_PIXELS = 1 << 18
# ITU-R 601 in 65536ths, with which Pillow turns 8 bits gray.
_LUMA = (19_595, 38_470, 7_471)
_TRANSPARENT = (
    "expected opaque pixels, got transparent ones; fill the background first, for "
    "example: magick IN.png -background white -flatten OUT.png"
)
_COLORS = (
    "expected a gray image, got one with colors; convert it to gray first, for "
    "example: magick IN.png -colorspace Gray OUT.png"
)


class PixelsError(ValueError):
    """A picture cannot be converted without loss; the message says what is expected."""


@final
class TransparentError(PixelsError):
    """A picture has transparent pixels, and no background was given."""


def is_deep(image: Image.Image) -> bool:
    """Return whether a picture that is not decoded yet has 16 bits per channel."""
    return image.mode in _DEEP_GRAY or _raw_mode(image) in _DEEP


def natural_mode(image: Image.Image) -> Mode:
    """Return whether a picture is gray or has colors, by its mode."""
    gray = image.mode in _GRAY + _DEEP_GRAY or _raw_mode(image) == "LA;16B"
    return "L" if gray else "RGB"


def read(
    open_: Open,
    mode: Mode,
    *,
    orientation: int = 1,
    size: tuple[int, int] | None = None,
    background: float | None = None,
    turn_gray: bool = False,
    check: Callable[[], object] = lambda: None,
) -> Pixels:
    """
    Return the pixels of a picture, upright, (H, W, C) with C = 1 or 3.

    Args:
        open_: Opens the picture, without decoding it; it may be called twice.
        orientation: That of the camera, 1 to 8 as in Exif.
        size: Width and height; by default those of the picture. Otherwise areas are
            averaged, first horizontally, then vertically.
        background: What transparent pixels are composited on, from 0 to 1; if None,
            they are refused.
        turn_gray: In mode L, whether colors are turned gray; if not, they are refused.
        check: Called regularly; it may raise.

    Raises:
        TransparentError: The picture has transparent pixels and is not composited.
        PixelsError: It has colors that would be lost, or more than 16 bits per channel.
    """
    image = open_()
    if is_deep(image):
        deep = _deep(image, open_, check)
        pixels = _opaque(_with_key(deep, image), background)
        pixels = _in_mode(pixels, mode, turn_gray=turn_gray)
        return _resized(_upright(pixels, orientation), size, check)
    if image.mode not in _GRAY + _COLOR:
        raise PixelsError(f"expected gray or RGB of 8 or 16 bits, got {image.mode}")
    image.load()
    convert = partial(
        _tile_in_mode, mode=mode, background=background, turn_gray=turn_gray
    )
    image = _image_in_mode(image, mode, convert, check)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    if size is not None and image.size != size:
        check()
        image = image.resize(size, Image.Resampling.BOX)
    return np.asarray(image).reshape(image.height, image.width, -1)


def _raw_mode(image: Any) -> str:
    """Return how the file stores a picture that is not decoded yet, or ""."""
    tiles = getattr(image, "tile", None) or []
    arguments: Any = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _deep(
    image: Image.Image, open_: Open, check: Callable[[], object]
) -> NDArray[np.uint16]:
    """Decode a picture of 16 bits per channel, (H, W, C), alpha last."""
    if image.mode in _DEEP_GRAY:
        gray = np.asarray(image)
        return gray.astype(np.uint16).reshape(image.height, image.width, 1)
    found: list[NDArray[np.uint16]] = []
    for mode, raw_mode in _DEEP[_raw_mode(image)]:
        check()
        again: Any = open_() if found else image
        again.tile = [again.tile[0]._replace(args=raw_mode)]
        again._mode = mode
        found.append(np.asarray(again).astype(np.uint16))
    if len(found) == 1:  # both bytes of a channel beside each other
        found = [found[0][..., 0::2], found[0][..., 1::2]]
    high, low = found
    high <<= 8
    high |= low
    return high


def _with_key(pixels: NDArray[np.uint16], image: Image.Image) -> NDArray[np.uint16]:
    """Add an alpha channel if one color is declared transparent."""
    key = image.info.get("transparency")
    if key is None or pixels.shape[2] not in (1, 3):
        return pixels
    is_clear = (pixels == np.array(key, np.uint16)).all(axis=2, keepdims=True)
    alpha = np.where(is_clear, np.uint16(0), np.uint16(65_535))
    return np.concatenate([pixels, alpha], axis=2)


def _opaque(pixels: NDArray[np.uint16], background: float | None) -> NDArray[np.uint16]:
    """Return pixels without an alpha channel."""
    if pixels.shape[2] in (1, 3):
        return pixels
    colors, alpha = pixels[..., :-1], pixels[..., -1:]
    if alpha.min() == 65_535:
        return colors
    if background is None:
        raise TransparentError(_TRANSPARENT)
    share = alpha / 65_535
    mixed = share * colors + (1 - share) * (65_535 * background)
    return np.rint(mixed).astype(np.uint16)


def _in_mode(
    pixels: NDArray[np.uint16], mode: Mode, *, turn_gray: bool
) -> NDArray[np.uint16]:
    if mode == "RGB":
        return pixels.repeat(3, axis=2) if pixels.shape[2] == 1 else pixels
    if (pixels == pixels[..., :1]).all():
        return pixels[..., :1]
    if not turn_gray:
        raise PixelsError(_COLORS)
    luma = np.full((*pixels.shape[:2], 1), 1 << 15, np.uint32)
    for channel, weight in enumerate(_LUMA):
        luma += pixels[..., channel : channel + 1] * np.uint32(weight)
    luma >>= 16
    return luma.astype(np.uint16)


def _upright(pixels: NDArray[np.uint16], orientation: int) -> NDArray[np.uint16]:
    """Turn and mirror pixels as the transpositions of Pillow do."""
    if orientation in SWAPPED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _resized(
    pixels: NDArray[np.uint16],
    size: tuple[int, int] | None,
    check: Callable[[], object],
) -> NDArray[np.uint16]:
    height, width = pixels.shape[:2]
    if size is None or size == (width, height):
        return pixels
    channels: list[NDArray[Any]] = []
    for channel in np.moveaxis(pixels, 2, 0):
        check()
        image = Image.fromarray(channel.astype(np.float32))
        channels.append(np.asarray(image.resize(size, Image.Resampling.BOX)))
    resized: NDArray[np.uint16] = np.rint(np.stack(channels, axis=2)).astype(np.uint16)
    return resized


def _image_in_mode(
    image: Image.Image,
    mode: Mode,
    convert: Callable[[Image.Image], Image.Image],
    check: Callable[[], object],
) -> Image.Image:
    """Convert an image of 8 bits to a mode, large ones tile by tile."""
    width, height = image.size
    if image.mode == mode and not image.has_transparency_data:
        return image
    if width * height <= _TILE_PIXELS:
        return convert(image)
    # Intermediate images are never as large as the whole.
    converted = Image.new(mode, image.size)
    across = min(width, _TILE_PIXELS)
    down = max(1, _TILE_PIXELS // across)
    for top in range(0, height, down):
        check()
        for left in range(0, width, across):
            box = (left, top, min(left + across, width), min(top + down, height))
            converted.paste(convert(image.crop(box)), box)
    return converted


def _tile_in_mode(
    image: Image.Image, *, mode: Mode, background: float | None, turn_gray: bool
) -> Image.Image:
    """Convert an image of 8 bits to gray or RGB; refuse if that would lose anything."""
    gray = image.mode in _GRAY
    if image.has_transparency_data:
        image = _converted(image, "RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            if background is None:
                raise TransparentError(_TRANSPARENT)
            level = round(255 * background)
            behind = Image.new("RGBA", image.size, (level, level, level, 255))
            image = Image.alpha_composite(behind, image)
        if gray:
            image = image.getchannel("R")
    if mode == "RGB" or image.mode in _GRAY:
        return _converted(image, mode)
    colors = _converted(image, "RGB")
    if not turn_gray and not is_gray(colors):
        raise PixelsError(_COLORS)
    return colors.convert("L")  # exact for gray colors


def is_gray(colors: Image.Image) -> bool:
    """Return whether the channels of an image in mode RGB are equal."""
    red, green, blue = colors.split()
    return all(
        ImageChops.difference(red, channel).getbbox() is None
        for channel in (green, blue)
    )


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image, without a copy if it already has the mode."""
    return image if image.mode == mode else image.convert(mode)
