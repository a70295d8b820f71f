"""One picture in a file -> its pixels: gray (H, W) or color (H, W, 3), 8 or 16 bits."""

import warnings
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from model.files import pixels
from model.files.contents import DataError
from model.files.pixels import SWAPPED, TransparentError

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
_BITS_PER_SAMPLE = 258  # of TIFF
_PNG_DEPTH = 24  # where the header of a PNG has its bits per channel


@final
@dataclass(frozen=True)
class PictureConversion:
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
class DecodedPicture:
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


def read(path: Path, how: PictureConversion) -> DecodedPicture:
    """
    Decode a picture, upright; of an animation, the first frame.

    Raises:
        DataError: It cannot be read, is too large, or has more bits than can be read.
    """
    try:
        with warnings.catch_warnings():
            # MAX_PIXELS refuses what Pillow only warns of; metadata are not pixels.
            warnings.simplefilter("ignore")
            # Of a path, Pillow would map uncompressed files into memory, and TIFF files
            # whose orientation swaps width and height would be scrambled.
            with path.open("rb") as file, Image.open(file, formats=formats()) as image:
                return _pixels(image, path, how)
    except DataError:
        raise
    except _UNREADABLE as error:
        why: object = error
        if isinstance(error, UnidentifiedImageError):  # its words name the open file
            why = "it is empty or of another format"
        raise DataError(
            f"{path} cannot be read as a picture: {why}; replace the file, or take it"
            " out of the folder"
        ) from error


def _pixels(image: Image.Image, path: Path, how: PictureConversion) -> DecodedPicture:
    if image.width * image.height > MAX_PIXELS:  # the header alone, nothing is decoded
        raise DataError(
            f"{path} is {image.width} x {image.height}, more than {MAX_PIXELS} pixels"
        )
    _check_bits(image, path)
    done = []
    if getattr(image, "is_animated", False):
        done.append("read from the first frame")
    open_ = _opener(image, path)
    natural = _natural_mode(image)
    mode = natural if how.mode is None else _MODES[how.mode]
    orientation = _orientation(image)
    width, height = image.size[::-1] if orientation in SWAPPED else image.size
    size = None if how.size is None else (how.size[1], how.size[0])
    read = partial(
        pixels.read, open_, mode, orientation=orientation, size=size, turn_gray=True
    )
    try:
        values = read()
    except TransparentError:
        done.append(f"laid on {how.background} where transparent")
        values = read(background=BACKGROUNDS[how.background])
    if (natural, mode) == ("RGB", "L"):
        done.append("turned gray")
    if size not in (None, (width, height)):
        done.append("scaled by averaging areas, without keeping the aspect ratio")
    return DecodedPicture(values[..., 0] if mode == "L" else values, tuple(done))


def _opener(image: Image.Image, path: Path) -> pixels.Open:
    """Return what opens a picture; one of 16 bits is decoded in several ways."""
    if image.mode == "I":
        low, high = image.getextrema()
        if not 0 <= low <= high < 1 << 16:  # type: ignore[operator]
            raise DataError(f"{path} has values of 32 bits: save it as an array, .npy")
        gray = Image.fromarray(np.asarray(image).astype(np.uint16))
        return lambda: gray
    if not pixels.is_deep(image):
        return lambda: image
    content = path.read_bytes()
    return lambda: Image.open(BytesIO(content), formats=formats())


def _natural_mode(image: Image.Image) -> pixels.Mode:
    """Return whether a picture is gray, a palette of gray colors too, or has colors."""
    if image.mode == "I":
        return "L"
    if image.mode == "P" and pixels.is_gray(image.convert("RGB")):
        return "L"
    return pixels.natural_mode(image)


def _orientation(image: Image.Image) -> int:
    """Return the orientation of the camera in Exif data, as the service reads it."""
    if image.format == "TIFF":
        return 1  # Pillow turns these while it decodes them
    if "exif" not in image.info:
        image.load()  # in a PNG, they may follow the pixels
    exif = Image.Exif()
    exif.load(image.info.get("exif") or b"")
    found = exif.get(ExifTags.Base.Orientation, 1)
    return found if isinstance(found, int) else 1


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
