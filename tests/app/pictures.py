"""Image files made by hand or by Pillow, and models whose data are images."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.config import Config, LikelihoodName
from tests.conftest import save_tiny, tiny_config, tiny_vae

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


def header(width: int, height: int, *, depth: int = 8, colour: int = 0) -> bytes:
    """Return the header of a PNG file."""
    fields = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return chunk(b"IHDR", fields)


def by_hand(*chunks: bytes) -> bytes:
    """Return a PNG file of these chunks and an end."""
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND")


def image_model(
    directory: Path,
    kind: LikelihoodName,
    data_shape: tuple[int, ...],
    *,
    divided_by: float = 255.0,
) -> Path:
    """Write a tiny checkpoint with data of this shape."""
    config: Config = tiny_config(kind, data_shape=data_shape)
    data = config.data.model_copy(update={"divided_by": divided_by})
    return save_tiny(directory, tiny_vae(config.model_copy(update={"data": data})))
