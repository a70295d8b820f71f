"""
Decodes PNG and JPEG files to rows of x, just as training reads a folder of images.

A pixel v of 0 to 255 is the value v / 255. Conversions lose nothing: gray becomes RGB
by repeating the channel, and RGB becomes gray only if its channels are equal. Palettes
are resolved, 1, 2 and 4 bits are widened, and the EXIF orientation is applied. Refused
are 16 bits per channel (half would be lost), transparent pixels, CMYK, and animations.
Another size than the model's is refused, unless `resize` is given: it averages areas,
first horizontally, then vertically, rounds after each pass, and does not keep the
aspect ratio.
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

# Every exception that Pillow is known to raise for damaged files.
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
    AssertionError,  # a missing palette
    struct.error,
    zlib.error,
)
_GRAY = ("1", "L", "LA")
_COLOR = ("P", "PA", "RGB", "RGBA")

_READ = {PNG: png_chunks.read, JPEG: jpeg_segments.read}
_NAMES = {PNG: "PNG", JPEG: "JPEG"}  # Pillow's names

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPPED = (5, 6, 7, 8)  # orientations that swap width and height

# The longest side of a JPEG. Resizing a longer side would need as many coefficients,
# however few pixels the image has.
MAX_SIDE = 65_535
# Scans over the maximum number of pixels: a second of decoding.
_MAX_PASSES = 12
_TILE_PIXELS = 1 << 18


@final
class ImageFile(NamedTuple):
    """The bytes of an image, and the JSON pointer to it."""

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

    In addition to the files and the rows it needs memory for one image at a time: up to
    10 bytes per pixel, for resizing 4 more per pixel of an image with the model's width
    and its own height, and 8 MiB.

    Args:
        stop: Ends the work once it is set.

    Raises:
        StoppedError: `stop` was set.
        UnprocessableError: A file is not an image of the model's mode and size.
        ContentTooLargeError: The images have too many pixels; raised before the image
            that exceeds the limit is decoded.
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
        # In float32, as in training.
        np.divide(pixels, np.float32(255), out=row)
    rows = values.reshape(len(files), -1)
    return Rows(rows, shaped=True, pointers=tuple(file.pointer for file in files))


def _check(header: Header, layout: ImageLayout, *, resize: bool) -> None:
    """Check the header of an image before it is decoded."""
    if header.bit_depth > 8:
        raise ImageError(
            f"expected 8 bits per channel, got {header.bit_depth}; reduce it first, "
            "for example: magick IN.png -depth 8 OUT.png"
        )
    width, height = header.width, header.height
    if header.n_scans * width * height > _MAX_PASSES * layout.max_pixels:
        raise ContentTooLargeError(
            f"expected fewer than {header.n_scans} scans of {width} x {height} pixels"
        )
    if max(width, height) > MAX_SIDE:
        raise ImageError(f"expected sides of at most {MAX_SIDE} pixels, got more")
    if header.orientation in _SWAPPED:
        width, height = height, width
    # The size between the two passes of resizing: the model's width, the own height.
    layout.check_n_pixels(layout.width, height)
    if (width, height) != (layout.width, layout.height) and not resize:
        raise ImageError(
            f"expected width x height of {layout.width} x {layout.height}, "
            f"got {width} x {height}; resize=true makes it fit"
        )


def _pixels(
    header: Header, name: str, layout: ImageLayout, stop: Event | None
) -> NDArray[np.uint8]:
    """Decode an image to the layout's orientation, mode and size, (H, W, C)."""
    try:
        file = as_file(header.parts, stop)
        image: Image.Image = Image.open(file, formats=(name,))
        if image.size != (header.width, header.height):
            raise ImageError("expected one size of the image, got two")
        if image.mode not in _GRAY + _COLOR:
            raise ImageError(f"expected gray or RGB of 8 bits, got {image.mode}")
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
    """Convert an image to gray or RGB; refuse if that would lose information."""
    width, height = image.size
    if image.mode == mode and not image.has_transparency_data:
        return image
    if width * height <= _TILE_PIXELS:
        return _tile_in_mode(image, mode)
    # Tile by tile: intermediate images are never as large as the whole.
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
            raise ImageError(
                "expected opaque pixels, got transparent ones; fill the background "
                "first, for example: magick IN.png -background white -flatten OUT.png"
            )
    if mode == "RGB" or image.mode in _GRAY:
        return _converted(image, mode)
    red, green, blue = _converted(image, "RGB").split()
    for channel in (green, blue):
        if ImageChops.difference(red, channel).getbbox() is not None:
            raise ImageError(
                "expected a gray image, got one with colors; convert it to gray first, "
                "for example: magick IN.png -colorspace Gray OUT.png"
            )
    return red


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image, without a copy if it already has the mode."""
    return image if image.mode == mode else image.convert(mode)
