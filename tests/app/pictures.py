"""Image files made by hand or by Pillow, and models whose data are images."""

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.wire.images import decode
from app.wire.images.decode import ImageFile
from app.wire.images.layout import ImageLayout
from app.wire.layout import Layout, Rows
from model.config import Config, LikelihoodName
from model.data_config import PIXELS, Data
from model.raw_values import RawValues
from tests.tiny import save_tiny, tiny_config, tiny_vae

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return an image as a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(pixels: NDArray[Any], **options: Any) -> bytes:
    """Return an array of bytes, (H, W) or (H, W, C), as PNG."""
    return saved(Image.fromarray(pixels.astype(np.uint8)), **options)


def pixels_of(file: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a file as Pillow reads them."""
    return np.asarray(Image.open(io.BytesIO(file)))


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    """Return one chunk of a PNG file."""
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def header(width: int, height: int, *, depth: int = 8, color: int = 0) -> bytes:
    """Return the header of a PNG file."""
    fields = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return chunk(b"IHDR", fields)


def by_hand(*chunks: bytes) -> bytes:
    """Return a PNG file of these chunks and an end."""
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND")


def png16(pixels: NDArray[Any], color: int) -> bytes:
    """Return an array, (H, W) or (H, W, C), as PNG of 16 bits and this color type."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1).astype(">u2")
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    return by_hand(
        header(width, height, depth=16, color=color),
        chunk(b"IDAT", zlib.compress(data)),
    )


def decoded(
    files: Sequence[ImageFile],
    layout: ImageLayout,
    *,
    resize: bool,
    stop: Event | None = None,
) -> Rows:
    """Return the rows of files for a model of images of 8 bits."""
    shape = (layout.height, layout.width, layout.n_channels)
    array = Layout("x", shape, len(files), RawValues(255.0, PIXELS, (0.0, 1.0)))
    return decode.read(files, layout, array, resize=resize, stop=stop)


def image_model(
    directory: Path,
    kind: LikelihoodName,
    data_shape: tuple[int, ...],
    *,
    divided_by: float = 255.0,
    turned_gray: bool = False,
) -> Path:
    """Write a tiny checkpoint with data of this shape."""
    config: Config = tiny_config(kind, data_shape=data_shape)
    data = Data(
        name="tiny",
        divided_by=divided_by,
        turned_gray=turned_gray,
        binarization=config.data.binarization,
        standardized=config.data.standardized,
    )
    return save_tiny(directory, tiny_vae(config.model_copy(update={"data": data})))
