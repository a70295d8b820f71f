"""
Decodes PNG and JPEG files to rows of x, just as training reads a folder of images.

A pixel v of 0 to 255 is the value v / 255, one of 16 bits v / 65535. The EXIF
orientation is applied; `model.files.pixels` converts, and loses nothing. Refused are
animations, transparent pixels, unless training composited them, and colors for a gray
model, unless training turned them gray. Another size than the model's is refused,
unless `resize` is given: it averages areas, first horizontally, then vertically, rounds
after each pass of 8 bits, and does not keep the aspect ratio.
"""

from collections.abc import Sequence
from threading import Event
from typing import NamedTuple, final

import numpy as np
from PIL import Image

from app.errors import ContentTooLargeError, Fault, UnprocessableError
from app.wire.body import Body
from app.wire.images import jpeg_segments, png_chunks
from app.wire.images.header import Header, ImageError
from app.wire.images.layout import ImageLayout
from app.wire.images.parts import as_file, check_wanted
from app.wire.layout import Layout, Rows
from app.wire.negotiation import JPEG, PNG, Format
from model.data_config import PIXELS
from model.files import pixels
from model.files.pixels import SWAPPED, Pixels, PixelsError
from model.raw_values import RawValues

_READ = {PNG: png_chunks.read, JPEG: jpeg_segments.read}
_NAMES = {PNG: "PNG", JPEG: "JPEG"}  # Pillow's names

# The longest side of a JPEG. Resizing a longer side would need as many coefficients,
# however few pixels the image has.
MAX_SIDE = 65_535
# Scans over the maximum number of pixels: a second of decoding.
_MAX_PASSES = 12
# Pixels are scaled by their bits, as in training; only 0 and 1 are dark pixels.
_SCALED = RawValues(1.0, PIXELS, (0.0, 1.0))


@final
class ImageFile(NamedTuple):
    """The bytes of an image, and the JSON pointer to it."""

    pointer: str
    format: Format
    content: Body


def read(
    files: Sequence[ImageFile],
    layout: ImageLayout,
    array: Layout,
    *,
    resize: bool,
    stop: Event | None = None,
) -> Rows:
    """
    Return a row for each file.

    In addition to the files and the rows it needs memory for one image at a time: up to
    10 bytes per pixel, for resizing 4 more per pixel of an image with the model's width
    and its own height, and 8 MiB; for 16 bits per channel up to 32 bytes per pixel.

    Args:
        array: Makes rows of the values of the pixels.
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
            found = _pixels(header, _NAMES[file.format], layout, stop)
        except ImageError as error:
            raise UnprocessableError(Fault(file.pointer, str(error))) from error
        row[:] = _SCALED.x_of(found)
    rows = array.to_rows(values, shaped=True)
    return rows._replace(pointers=tuple(file.pointer for file in files))


def _check(header: Header, layout: ImageLayout, *, resize: bool) -> None:
    """Check the header of an image before it is decoded."""
    if header.bit_depth not in (1, 2, 4, 8, 16):
        raise ImageError(f"expected 8 or 16 bits per channel, got {header.bit_depth}")
    width, height = header.width, header.height
    if header.n_scans * width * height > _MAX_PASSES * layout.max_pixels:
        raise ContentTooLargeError(
            f"expected fewer than {header.n_scans} scans of {width} x {height} pixels"
        )
    if max(width, height) > MAX_SIDE:
        raise ImageError(f"expected sides of at most {MAX_SIDE} pixels, got more")
    if header.orientation in SWAPPED:
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
) -> Pixels:
    """Decode an image to the layout's orientation, mode and size, (H, W, C)."""

    def open_() -> Image.Image:
        file = as_file(header.parts, stop)
        image: Image.Image = Image.open(file, formats=(name,))
        if image.size != (header.width, header.height):
            raise ImageError("expected one size of the image, got two")
        return image

    try:
        return pixels.read(
            open_,
            layout.mode,
            orientation=header.orientation,
            size=(layout.width, layout.height),
            background=layout.background,
            turn_gray=layout.turns_gray,
            check=lambda: check_wanted(stop),
        )
    except ImageError:
        raise
    except PixelsError as error:
        raise ImageError(str(error)) from None
    except pixels.UNREADABLE:
        raise ImageError(f"expected a whole {name} image, got a damaged one") from None
