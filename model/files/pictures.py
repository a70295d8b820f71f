"""A folder of .png and .jpg images -> gray (N, H, W) or color (N, H, W, 3)."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from model.files.contents import Contents, DataError, Origin, Rows

MAX_PIXELS = (
    2**24
)  # of one image; more than a VAE can use, less than Pillow's own limit
_SUFFIXES = {".png", ".jpg", ".jpeg"}
_UNREADABLE = (
    OSError,
    SyntaxError,  # what Pillow raises for broken EXIF and PNG
    ValueError,
    Image.DecompressionBombError,
)
_CONVERSIONS = {
    **dict.fromkeys(("1", "L", "LA"), "L"),
    **dict.fromkeys(("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"), "RGB"),
}


def read(folder: Path) -> Contents:
    """
    Read the images of a folder, in the order of their names, as gray or RGB bytes.

    Raises:
        DataError: No image, one that cannot be read, is too large or partly
            transparent, or one that differs from the first in size or color.
    """
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
    )
    if not paths:
        raise DataError(
            f"{folder} holds no .png, .jpg or .jpeg images (subfolders are not read)"
        )
    first = _pixels(paths[0])
    x = np.empty((len(paths), *first.shape), dtype=np.uint8)
    for i, path in enumerate(paths):
        pixels = _pixels(path)
        if pixels.shape != first.shape:
            raise DataError(
                f"{path} is {_describe(pixels)} but {paths[0].name} is"
                f" {_describe(first)}; all images must be of one size and kind"
            )
        x[i] = pixels
    name = folder.resolve().name
    origin = Origin(name, unit="image", images=tuple(path.name for path in paths))
    return Contents(name, Rows.of(x, origin), f"the {len(paths)} images of {name}")


def _pixels(path: Path) -> NDArray[np.uint8]:
    """Decode one image, upright: (H, W) or (H, W, 3)."""
    try:
        with warnings.catch_warnings():
            # MAX_PIXELS refuses what Pillow only warns of.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                return np.asarray(_convert(image, path))
    except DataError:
        raise
    except _UNREADABLE as error:
        raise DataError(f"{path} cannot be read as an image: {error}") from error


def _convert(image: Image.Image, path: Path) -> Image.Image:
    if image.width * image.height > MAX_PIXELS:  # the header alone, nothing is decoded
        raise DataError(
            f"{path} is {image.width} x {image.height}, more than {MAX_PIXELS} pixels"
        )
    if image.mode not in _CONVERSIONS:
        raise DataError(f"{path} has mode {image.mode}, expected 8-bit gray or color")
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        if np.asarray(alpha).min() < 255:
            raise DataError(f"{path} has transparent pixels; flatten it first")
    return ImageOps.exif_transpose(image).convert(_CONVERSIONS[image.mode])


def _describe(pixels: NDArray[np.uint8]) -> str:
    height, width = pixels.shape[:2]
    return f"{width} x {height} {'gray' if pixels.ndim == 2 else 'RGB'}"
