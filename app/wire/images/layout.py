"""Which models have images as data, and how the values of x map to pixels."""

from dataclasses import dataclass
from math import ceil, prod, sqrt
from typing import Literal, NamedTuple, final

from app.errors import ContentTooLargeError

ValueRange = tuple[float, float] | None


@final
class Grid(NamedTuple):
    """A grid of images in one picture, row by row; `scale` enlarges each pixel."""

    columns: int
    rows: int
    scale: int


@final
@dataclass(frozen=True)
class ImageLayout:
    """
    Images of 8 or 16 bits: value 0 is black, and value 1 the brightest pixel.

    Attributes:
        n_channels: 1 for gray, 3 for RGB.
        max_pixels: The most pixels of the images of a request or of a response.
        background: What transparent pixels are composited on, from 0 to 1; None if they
            are refused.
        turns_gray: For gray: whether colors are turned gray; if not, they are refused.
    """

    height: int
    width: int
    n_channels: Literal[1, 3]
    max_pixels: int
    background: float | None = None
    turns_gray: bool = False

    @property
    def mode(self) -> Literal["L", "RGB"]:
        """The name of this kind of image in Pillow."""
        return "L" if self.n_channels == 1 else "RGB"

    def check_n_pixels(self, *sizes: int) -> None:
        """
        Check a number of pixels, the product of `sizes`.

        Raises:
            ContentTooLargeError: There are too many.
        """
        if prod(sizes) > self.max_pixels:
            raise ContentTooLargeError(
                f"expected images of at most {self.max_pixels} pixels together, "
                f"got {' x '.join(map(str, sizes))}"
            )

    def grid(self, n: int, *, columns: int | None, scale: int) -> Grid:
        """
        Lay out n images; by default in a picture that is nearly square.

        Raises:
            ContentTooLargeError: The picture would have too many pixels.
        """
        if columns is None:
            columns = max(1, ceil(sqrt(n * self.height / self.width)))
        columns = min(columns, n)
        rows = -(-n // columns)
        self.check_n_pixels(columns * self.width * scale, rows * self.height * scale)
        return Grid(columns, rows, scale)


def why_no_images(data_shape: tuple[int, ...], *, value_range: ValueRange) -> str:
    """
    Return why a model's data are not images; empty if they are.

    They are images if they have the shape of an image and values known to be in
    [0, 1]: because the likelihood requires it, or because training divided the raw
    values (by 255 for 8-bit images).

    Args:
        value_range: The values that x is known to have; None if unknown.
    """
    if len(data_shape) not in (2, 3) or data_shape[2:] not in ((), (1,), (3,)):
        shape = ", ".join(map(str, data_shape))
        return f"data of shape [{shape}] are not images, [H, W] or [H, W, 3]"
    if value_range != (0.0, 1.0):
        return "the values are not known to be in [0, 1], so they are not pixels"
    return ""


def image_layout(
    data_shape: tuple[int, ...],
    *,
    max_pixels: int,
    background: float | None = None,
    turns_gray: bool = False,
) -> ImageLayout:
    """Return the layout of data that are images."""
    height, width = data_shape[:2]
    n_channels: Literal[1, 3] = 3 if data_shape[2:] == (3,) else 1
    return ImageLayout(height, width, n_channels, max_pixels, background, turns_gray)
