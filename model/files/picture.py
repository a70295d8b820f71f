"""One picture in a file -> its pixels: gray (H, W) or color (H, W, 3), 8 or 16 bits."""

import warnings
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageChops, ImageFile, ImageOps

from model.files import pixels
from model.files.contents import DataError
from model.files.pixels import PixelsError

# Of one picture; more than a VAE can use, less than Pillow's own limit.
MAX_PIXELS = 2**24

Background = Literal["white", "black"]

# What reading a file may raise, one with more pixels than Pillow allows too.
_UNREADABLE = (*pixels.UNREADABLE, Image.DecompressionBombError)
# Formats that are no pictures of pixels, or that Pillow hands to other programs.
_NOT_READ = {"EPS", "WMF", "PDF", "BUFR", "GRIB", "HDF5", "MPEG", "FITS"}
_GRAY = {"1", "L", "LA", "La"}
_SIXTEEN_BITS = {"I;16", "I;16B", "I;16L", "I;16N"}
_COLOR = {"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
_MODES: dict[Literal["gray", "color"], pixels.Mode] = {"gray": "L", "color": "RGB"}
BACKGROUNDS: dict[Background, float] = {"white": 1.0, "black": 0.0}
# ITU-R 601, as Pillow turns 8 bits gray.
_LUMA = np.array([0.299, 0.587, 0.114])
_BITS_PER_SAMPLE = 258  # of TIFF
_PNG_DEPTH = 24  # where the header of a PNG has its bits per channel


@final
@dataclass(frozen=True)
class How:
    """
    How a picture becomes pixels.

    Attributes:
        size: Height and width to scale to; None keeps those of the picture.
        mode: None keeps gray gray and color color.
        background: What is behind transparent pixels.
    """

    size: tuple[int, int] | None = None
    mode: Literal["gray", "color"] | None = None
    background: Background = "white"


@final
@dataclass(frozen=True, eq=False)
class Pixels:
    """
    The pixels of a picture.

    Attributes:
        values: uint8, or uint16 if the file has 16 bits, (H, W) or (H, W, 3).
        done: What had to be done, in the words of a sentence.
    """

    values: NDArray[Any]
    done: tuple[str, ...] = field(default=())


def formats() -> tuple[str, ...]:
    """Return the formats that are read, in Pillow's names."""
    Image.init()
    return tuple(name for name in Image.ID if name not in _NOT_READ)


def suffixes() -> frozenset[str]:
    """Return how names of files of these formats end."""
    read = set(formats())
    found = Image.registered_extensions()
    return frozenset(suffix for suffix, name in found.items() if name in read)


def read(path: Path, how: How) -> Pixels:
    """
    Decode a picture, upright; of an animation, the first frame.

    Raises:
        DataError: It cannot be read, is too large, or has more bits than can be read.
    """
    try:
        with warnings.catch_warnings():
            # MAX_PIXELS refuses what Pillow only warns of; metadata are not pixels.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=formats()) as image:
                return _pixels(image, path, how)
    except DataError:
        raise
    except _UNREADABLE as error:
        raise DataError(f"{path} cannot be read as a picture: {error}") from error


def _pixels(image: Image.Image, path: Path, how: How) -> Pixels:
    if image.width * image.height > MAX_PIXELS:  # the header alone, nothing is decoded
        raise DataError(
            f"{path} is {image.width} x {image.height}, more than {MAX_PIXELS} pixels"
        )
    _check_bits(image, path)
    done = []
    if getattr(image, "is_animated", False):
        done.append("read from the first frame")
    if image.mode == "I" or pixels.is_deep(image):
        return _sixteen_bits(image, path, how, done)
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        upright = _composited(upright, how.background, done)
    upright = _without_gray_palette(upright)
    mode = "L" if upright.mode in _GRAY else "RGB"
    if how.mode is not None:
        mode = _MODES[how.mode]
    if mode == "L" and upright.mode not in _GRAY:
        done.append("turned gray")
    upright = upright if upright.mode == mode else upright.convert(mode)
    upright = _scaled(upright, how, done)
    return Pixels(np.asarray(upright), tuple(done))


def _without_gray_palette(image: Image.Image) -> Image.Image:
    """Return a picture of gray colors in a palette as gray."""
    if image.mode != "P":
        return image
    color = image.convert("RGB")
    red, green, blue = color.split()
    is_gray = all(
        ImageChops.difference(red, other).getbbox() is None for other in (green, blue)
    )
    return red if is_gray else color


def _check_bits(image: Image.Image, path: Path) -> None:
    """Refuse modes that are not of 8 or 16 bits, and 16 bits that Pillow cuts to 8."""
    if image.mode not in _GRAY | _SIXTEEN_BITS | _COLOR | {"I"}:
        raise DataError(
            f"{path} has mode {image.mode}, expected 8 or 16 bits per channel: save"
            " such pictures as an array, .npy"
        )
    whole = image.mode in _SIXTEEN_BITS | {"I"} or pixels.is_deep(image)
    if not whole and _depth(image, path) > 8:
        raise DataError(
            f"{path} has 16 bits per channel in color or with transparency, of which 8"
            " would be lost: save such pictures as an array, .npy, or with 8 bits"
        )


def _depth(image: Image.Image, path: Path) -> int:
    """Return the bits per channel in the file, which Pillow's mode does not show."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(_PNG_DEPTH + 1)[-1]
    tags = getattr(image, "tag_v2", {})
    depths = tags.get(_BITS_PER_SAMPLE, 8) if image.format == "TIFF" else 8
    if image.format == "PPM" and isinstance(image, ImageFile.ImageFile) and image.tile:
        highest = image.tile[0].args
        most = highest[-1] if isinstance(highest, tuple) else 255
        return 16 if isinstance(most, int) and most > 255 else 8
    return max(depths) if isinstance(depths, tuple) else int(depths)


def _sixteen_bits(image: Image.Image, path: Path, how: How, done: list[str]) -> Pixels:
    """Decode a picture of 16 bits as the service does."""
    natural = "L" if image.mode == "I" else pixels.natural_mode(image)
    # This may decode the picture, after which its mode does not show gray with alpha.
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    open_ = _opener(path)
    if image.mode == "I":
        low, high = image.getextrema()
        if not 0 <= low <= high < 1 << 16:  # type: ignore[operator]
            raise DataError(f"{path} has values of 32 bits: save it as an array, .npy")
        gray = Image.fromarray(np.asarray(image).astype(np.uint16))
        open_ = lambda: gray  # noqa: E731
    size = None if how.size is None else (how.size[1], how.size[0])
    mode = natural if how.mode is None else _MODES[how.mode]
    kept: pixels.Mode = "RGB" if natural == "RGB" else mode
    read = partial(pixels.read, open_, kept, orientation=orientation, size=size)
    try:
        values = read()
    except PixelsError:
        done.append(_said_laid(how.background))
        values = read(background=BACKGROUNDS[how.background])
    if size is not None and size != image.size:
        done.append(_said_scaled())
    if natural == "RGB" and mode == "L":
        done.append("turned gray")
        values = np.rint(values @ _LUMA)[..., None].astype(np.uint16)
    return Pixels(values[..., 0] if mode == "L" else values, tuple(done))


def _opener(path: Path) -> pixels.Open:
    """Return what opens a picture, once for each half of its bits."""
    content = path.read_bytes()
    return lambda: Image.open(BytesIO(content), formats=formats())


def _composited(
    image: Image.Image, background: Background, done: list[str]
) -> Image.Image:
    """Lay a picture on a background; gray stays gray."""
    is_gray = image.mode in _GRAY
    rgba = image.convert("RGBA")
    if rgba.getchannel("A").getextrema() != (255, 255):
        done.append(_said_laid(background))
    ground = Image.new("RGBA", rgba.size, background)
    flat = Image.alpha_composite(ground, rgba)
    return flat.getchannel("R") if is_gray else flat.convert("RGB")


def _scaled(image: Image.Image, how: How, done: list[str]) -> Image.Image:
    if how.size is None or how.size == (image.height, image.width):
        return image
    done.append(_said_scaled())
    height, width = how.size
    return image.resize((width, height), Image.Resampling.BOX)


def _said_laid(background: Background) -> str:
    return f"laid on {background} where transparent"


def _said_scaled() -> str:
    return "scaled by averaging areas, without keeping the aspect ratio"
