"""
Writes the rows of a response as one PNG, in a grid.

A value v becomes the pixel 255 v, rounded, with v clipped to [0, 1]. Unused places in
the last row of the grid are black.
"""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.wire.images.layout import Grid, ImageLayout
from app.wire.reply import CHUNK_BYTES, Chunk

# For enlarged pixels as good as higher levels, and several times faster.
_COMPRESSION = 1


def write(values: NDArray[Any], layout: ImageLayout, grid: Grid) -> list[Chunk]:
    """Return a PNG of N images, (N, ...); equal values give equal bytes."""
    height, width, n_channels = layout.height, layout.width, layout.n_channels
    pixels = np.zeros((grid.rows * grid.columns, height, width, n_channels), np.uint8)
    scaled = np.clip(values, 0, 1) * np.float32(255)
    pixels[: len(values)] = np.rint(scaled).reshape(-1, height, width, n_channels)
    picture = (
        pixels.reshape(grid.rows, grid.columns, height, width, n_channels)
        .swapaxes(1, 2)
        .reshape(grid.rows * height, grid.columns * width, n_channels)
        .repeat(grid.scale, axis=0)
        .repeat(grid.scale, axis=1)
    )
    file = BytesIO()
    image = Image.fromarray(picture[..., 0] if n_channels == 1 else picture)
    image.save(file, "PNG", compress_level=_COMPRESSION)
    whole = file.getbuffer()
    return [whole[i : i + CHUNK_BYTES] for i in range(0, len(whole), CHUNK_BYTES)]
