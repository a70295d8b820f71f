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
from threading import Event
from typing import Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from app.errors import ContentTooLargeError, Fault, UnprocessableError
from app.wire.body import Body
from app.wire.images import jpeg_segments, png_chunks
from app.wire.images.header import Header, ImageError
from app.wire.images.layout import ImageLayout
from app.wire.images.parts import as_file, check_wanted
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

# As long as a side of a JPEG may be. A longer one would take as many coefficients to
# resize, however few pixels there are.
MAX_SIDE = 65_535
# Of as many pixels as may be: a second of the decoder's work.
_MAX_PASSES = 12
_TILE_PIXELS = 1 << 18


@final
class ImageFile(NamedTuple):
    """An image as it came, and the JSON pointer to it."""

    pointer: str
    format: Format
    content: Body


def read(
    files: Sequence[ImageFile],
    layout: ImageLayout,
    *,
    resize: bool,
    stop: Event | None = None,
) -> Rows:
    """
    Return a row for each file.

    Besides the files and the rows it takes, for one image at a time, up to 10 bytes for
    each of its pixels as sent, and of an image that is resized 4 for each pixel of the
    model's width and its own height; and 8 MiB.

    Args:
        stop: Ends the work once it is set.

    Raises:
        StoppedError: `stop` was set.
        UnprocessableError: A file is no image of the model's kind and size.
        ContentTooLargeError: They have too many pixels; found before any is decoded
            that is over the limit.
    """
    height, width = layout.height, layout.width
    layout.check_n_pixels(len(files), width, height)
    values = np.empty((len(files), height, width, layout.n_channels), np.float32)
    n_pixels = 0
    for row, file in zip(values, files, strict=True):
        check_wanted(stop)
        try:
            header = _READ[file.format](file.content, stop)
            n_pixels += header.width * header.height
            layout.check_n_pixels(header.width, header.height)
            layout.check_n_pixels(n_pixels)
            _check(header, layout, resize=resize)
            pixels = _pixels(header, _NAMES[file.format], layout, stop)
        except ImageError as error:
            raise UnprocessableError(Fault(file.pointer, str(error))) from error
        # As training divides: in float32.
        np.divide(pixels, np.float32(255), out=row)
    rows = values.reshape(len(files), -1)
    return Rows(rows, shaped=True, pointers=tuple(file.pointer for file in files))


def _check(header: Header, layout: ImageLayout, *, resize: bool) -> None:
    """Check what is known before an image is decoded."""
    if header.bit_depth > 8:
        raise ImageError(f"expected 8 bits per channel, got {header.bit_depth}")
    width, height = header.width, header.height
    if header.n_scans * width * height > _MAX_PASSES * layout.max_pixels:
        raise ContentTooLargeError(
            f"expected fewer than {header.n_scans} scans of {width} x {height} pixels"
        )
    if max(width, height) > MAX_SIDE:
        raise ImageError(f"expected sides of at most {MAX_SIDE} pixels, got more")
    if header.orientation in _LYING:
        width, height = height, width
    # As wide as the model's and as high as the image: what is between the two passes.
    layout.check_n_pixels(layout.width, height)
    if (width, height) != (layout.width, layout.height) and not resize:
        raise ImageError(
            f"expected width x height of {layout.width} x {layout.height}, "
            f"got {width} x {height}; resize=true makes it fit"
        )


def _pixels(
    header: Header, name: str, layout: ImageLayout, stop: Event | None
) -> NDArray[np.uint8]:
    """Decode an image, upright, in the layout's mode and size, (H, W, C)."""
    try:
        file = as_file(header.parts, stop)
        image: Image.Image = Image.open(file, formats=(name,))
        if image.size != (header.width, header.height):
            raise ImageError("expected one size of an image, got two")
        if image.mode not in _GREY + _COLOURED:
            raise ImageError(f"expected grey or RGB of 8 bits, got {image.mode}")
        image.load()
        image = _in_mode(image, layout.mode, stop)
    except ImageError:
        raise
    except _UNREADABLE:
        raise ImageError(f"expected a whole {name} image, got a damaged one") from None
    if header.orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[header.orientation])
    if image.size != (layout.width, layout.height):
        check_wanted(stop)
        image = image.resize((layout.width, layout.height), Image.Resampling.BOX)
    return np.asarray(image).reshape(layout.height, layout.width, -1)


def _in_mode(
    image: Image.Image, mode: Literal["L", "RGB"], stop: Event | None
) -> Image.Image:
    """Return an opaque image in grey or RGB, where that loses nothing."""
    width, height = image.size
    if image.mode == mode and not image.has_transparency_data:
        return image
    if width * height <= _TILE_PIXELS:
        return _tile_in_mode(image, mode)
    # Tile by tile, so that what is between the two is never as large as the image.
    converted = Image.new(mode, image.size)
    across = min(width, _TILE_PIXELS)
    down = max(1, _TILE_PIXELS // across)
    for top in range(0, height, down):
        check_wanted(stop)
        for left in range(0, width, across):
            box = (left, top, min(left + across, width), min(top + down, height))
            converted.paste(_tile_in_mode(image.crop(box), mode), box)
    return converted


def _tile_in_mode(image: Image.Image, mode: Literal["L", "RGB"]) -> Image.Image:
    if image.has_transparency_data:
        image = _converted(image, "RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
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
