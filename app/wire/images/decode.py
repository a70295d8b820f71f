"""
Images in: PNG and JPEG files to rows of x, as training reads a folder of them.

A pixel v of 0 to 255 is the value v / 255. Nothing is guessed: grey becomes RGB by
repeating it, and RGB becomes grey only where its channels are equal. Palettes are
looked up, 1, 2 and 4 bits are widened, the orientation of a camera is undone. Refused
are 16 bits, of which half would be lost, transparent pixels, CMYK, and animations. A
size that is not the model's is refused unless resizing is asked for, which averages
areas, across and then down, rounds after each, and does not keep proportions.
"""

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from app.errors import Fault, UnprocessableError
from app.http.exchange import Body
from app.wire.images import jpeg_segments, png_chunks
from app.wire.images.header import Header, ImageError
from app.wire.images.layout import ImageLayout
from app.wire.layout import Rows
from app.wire.negotiation import JPEG, PNG, Format

# All that Pillow is known to raise for files that are damaged.
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    RuntimeError,
    AssertionError,  # of a palette that is not there
    struct.error,
    zlib.error,
)
_GREY = ("1", "L", "LA")
_COLOURED = ("P", "PA", "RGB", "RGBA")

_READ = {PNG: png_chunks.read, JPEG: jpeg_segments.read}
_NAMES = {PNG: "PNG", JPEG: "JPEG"}  # as Pillow has them

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = (5, 6, 7, 8)  # width and height change places


@final
class File(NamedTuple):
    """An image as it came, and the JSON pointer to it."""

    pointer: str
    format: Format
    content: Body


def read(files: Sequence[File], layout: ImageLayout, *, resize: bool) -> Rows:
    """
    Return a row for each file.

    Raises:
        UnprocessableError: A file is no image of the model's kind and size.
        ContentTooLargeError: They have too many pixels; found before any is decoded
            that is over the limit.
    """
    height, width = layout.height, layout.width
    layout.check_n_pixels(len(files), width, height)
    pixels = np.empty((len(files), height, width, layout.n_channels), np.uint8)
    n_pixels = 0
    for i, file in enumerate(files):
        try:
            header = _READ[file.format](file.content)
            n_pixels += header.width * header.height
            layout.check_n_pixels(header.width, header.height)
            layout.check_n_pixels(n_pixels)
            _check(header, layout, resize=resize)
            pixels[i] = _pixels(header, _NAMES[file.format], layout)
        except ImageError as error:
            raise UnprocessableError(Fault(file.pointer, str(error))) from error
    # As training divides: in float32.
    values = pixels.reshape(len(files), -1).astype(np.float32)
    values /= np.float32(255)
    return Rows(values, shaped=True, pointers=tuple(file.pointer for file in files))


def _check(header: Header, layout: ImageLayout, *, resize: bool) -> None:
    """Check what is known before an image is decoded."""
    if header.bit_depth > 8:
        raise ImageError(f"expected 8 bits per channel, got {header.bit_depth}")
    width, height = header.width, header.height
    if header.orientation in _LYING:
        width, height = height, width
    if (width, height) != (layout.width, layout.height) and not resize:
        raise ImageError(
            f"expected width x height of {layout.width} x {layout.height}, "
            f"got {width} x {height}; resize=true makes it fit"
        )


def _pixels(header: Header, name: str, layout: ImageLayout) -> NDArray[np.uint8]:
    """Decode an image, upright, in the layout's mode and size, (H, W, C)."""
    try:
        image: Image.Image = Image.open(BytesIO(header.content), formats=(name,))
        if image.size != (header.width, header.height):
            raise ImageError("expected one size of an image, got two")
        image.load()
        image = _in_mode(image, layout.mode)
    except ImageError:
        raise
    except _UNREADABLE:
        raise ImageError(f"expected a whole {name} image, got a damaged one") from None
    if header.orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[header.orientation])
    if image.size != (layout.width, layout.height):
        image = image.resize((layout.width, layout.height), Image.Resampling.BOX)
    return np.asarray(image).reshape(layout.height, layout.width, -1)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Return an opaque image in grey or RGB, where that loses nothing."""
    if image.mode not in _GREY + _COLOURED:
        raise ImageError(f"expected grey or RGB of 8 bits, got {image.mode}")
    if image.has_transparency_data:
        image = _converted(image, "RGBA")
        if np.asarray(image.getchannel("A")).min() < 255:
            raise ImageError("expected opaque pixels, got transparent ones")
    if mode == "RGB" or image.mode in _GREY:
        return _converted(image, mode)
    red, green, blue = _converted(image, "RGB").split()
    for channel in (green, blue):
        if ImageChops.difference(red, channel).getbbox() is not None:
            raise ImageError("expected a grey image, got one with colours")
    return red


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """Convert without the copy that Pillow makes where there is nothing to do."""
    return image if image.mode == mode else image.convert(mode)
