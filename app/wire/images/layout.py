"""Which models have images for data, and how the values of x are pixels then."""

from dataclasses import dataclass
from math import ceil, prod, sqrt
from typing import Literal, NamedTuple, final

from app.errors import ContentTooLargeError

ValueRange = tuple[float, float] | None


@final
class Grid(NamedTuple):
    """How images are laid out in one picture: row by row, each pixel a square."""

    columns: int
    rows: int
    scale: int


@final
@dataclass(frozen=True)
class ImageLayout:
    """
    Images of 8 bits per channel: value 0 is pixel 0, black, and value 1 is pixel 255.

    Attributes:
        n_channels: 1, grey, or 3, RGB.
        max_pixels: The most pixels of the images of a request, or of one answer.
    """

    height: int
    width: int
    n_channels: Literal[1, 3]
    max_pixels: int

    @property
    def mode(self) -> Literal["L", "RGB"]:
        """The name of this kind of image in Pillow."""
        return "L" if self.n_channels == 1 else "RGB"

    def check_n_pixels(self, *sizes: int) -> None:
        """
        Check a number of pixels, the product of `sizes`.

        Raises:
            ContentTooLargeError: They are too many.
        """
        if prod(sizes) > self.max_pixels:
            raise ContentTooLargeError(
                f"expected images of at most {self.max_pixels} pixels together, "
                f"got {' x '.join(map(str, sizes))}"
            )

    def grid(self, n: int, *, columns: int | None, scale: int) -> Grid:
        """
        Lay out n images, at most n in a row; near a square picture if nothing is asked.

        Raises:
            ContentTooLargeError: The picture would have too many pixels.
        """
        if columns is None:
            columns = max(1, ceil(sqrt(n * self.height / self.width)))
        columns = min(columns, n)
        rows = -(-n // columns)
        self.check_n_pixels(columns * self.width * scale, rows * self.height * scale)
        return Grid(columns, rows, scale)


def why_no_images(
    data_shape: tuple[int, ...], *, value_range: ValueRange, divided_by: float
) -> str:
    """
    Say why a model's data are no images; nothing if they are.

    They are where the shape is an image's and the values are known to run from 0 to 1:
    because the likelihood is for such values, or because training divided raw values
    (by 255, those of 8-bit images).
    """
    if len(data_shape) not in (2, 3) or data_shape[2:] not in ((), (1,), (3,)):
        shape = ", ".join(map(str, data_shape))
        return f"data of shape [{shape}] are no images, [H, W] or [H, W, 3]"
    if value_range is None and divided_by == 1:
        return "values in units of their own are no pixels"
    return ""


def image_layout(data_shape: tuple[int, ...], *, max_pixels: int) -> ImageLayout:
    """Return the layout of data that are images."""
    height, width = data_shape[:2]
    n_channels: Literal[1, 3] = 3 if data_shape[2:] == (3,) else 1
    return ImageLayout(height, width, n_channels, max_pixels)
