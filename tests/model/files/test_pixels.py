"""The pixels of a picture are those of its file, whatever its mode."""

import io
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from model.files.pixels import PixelsError, natural_mode, read
from tests.app.pictures import by_hand, chunk, header, png16, saved

DRAW = np.random.default_rng(5)
GRAY = DRAW.integers(0, 65_536, (5, 7), dtype=np.uint16)
COLORS = DRAW.integers(0, 65_536, (5, 7, 3), dtype=np.uint16)
OPAQUE = np.full((5, 7, 1), 65_535, np.uint16)
EIGHT = (COLORS >> 8).astype(np.uint8)


def opener(file: bytes) -> Callable[[], Image.Image]:
    """Return what opens a file, as often as it is called."""
    return lambda: Image.open(io.BytesIO(file))


DEEP: dict[str, tuple[int, NDArray[Any], NDArray[Any]]] = {
    "gray": (0, GRAY, GRAY[..., None]),
    "colors": (2, COLORS, COLORS),
    "gray with alpha": (4, np.dstack([GRAY, OPAQUE]), GRAY[..., None]),
    "colors with alpha": (6, np.dstack([COLORS, OPAQUE]), COLORS),
}


@pytest.mark.parametrize("name", DEEP)
def test_16_bits_stay_16_bits(name: str) -> None:
    """Not one is lost, of 12-bit data neither; gray becomes RGB by repetition."""
    kind, stored, wanted = DEEP[name]
    for pixels_stored, expected in ((stored, wanted), (_12(stored), wanted >> 4)):
        open_ = opener(png16(pixels_stored, kind))
        mode = natural_mode(open_())

        pixels = read(open_, mode)

        assert pixels.dtype == np.uint16
        np.testing.assert_array_equal(pixels, expected)
        if mode == "L":
            np.testing.assert_array_equal(read(open_, "RGB"), expected.repeat(3, 2))


def _12(stored: NDArray[Any]) -> NDArray[Any]:
    """Return data of 12 bits; an opaque alpha stays opaque."""
    narrow = stored >> 4
    if stored.ndim == 3 and stored.shape[2] in (2, 4):
        narrow[..., -1] = 65_535
    return narrow


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", DEEP)
def test_16_bits_are_turned_as_8_bits_are(name: str, orientation: int) -> None:
    """By the orientation of the camera."""
    kind, stored, wanted = DEEP[name]
    eight = Image.fromarray((wanted[..., 0] >> 8).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(saved(eight, exif=exif))))

    mode = natural_mode(opener(png16(stored, kind))())
    pixels = read(opener(png16(stored, kind)), mode, orientation=orientation)

    np.testing.assert_array_equal(pixels[..., 0] >> 8, np.asarray(upright))


def test_16_bits_are_resized_by_averaging_areas() -> None:
    """To less than one of 65,535, since every pass rounds once."""
    large = DRAW.integers(0, 65_536, (12, 8, 3), dtype=np.uint16)

    pixels = read(opener(png16(large, 2)), "RGB", size=(4, 4))

    means = large.reshape(4, 3, 4, 2, 3).mean(axis=(1, 3))
    assert np.abs(pixels - means).max() <= 1


MODES: dict[str, Callable[[Image.Image], Image.Image]] = {
    mode: (lambda image, mode=mode: image.convert(mode))  # type: ignore[misc]
    for mode in ("RGB", "RGBA", "CMYK", "YCbCr", "P", "L", "LA", "1")
}


@pytest.mark.parametrize("mode", MODES)
def test_8_bits_of_any_mode_are_read_as_pillow_converts_them(mode: str) -> None:
    """To gray where that loses nothing."""
    image = MODES[mode](Image.fromarray(EIGHT))
    kind = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    open_ = opener(saved(image, kind))
    gray = mode in ("L", "LA", "1")

    pixels = read(open_, "RGB")

    np.testing.assert_array_equal(pixels, np.asarray(open_().convert("RGB")))
    assert natural_mode(open_()) == ("L" if gray else "RGB")
    if gray:
        np.testing.assert_array_equal(read(open_, "L"), pixels[..., :1])
    else:
        with pytest.raises(PixelsError, match="expected a gray image"):
            read(open_, "L")


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("colors", [False, True])
def test_transparent_pixels_need_a_background(*, colors: bool, deep: bool) -> None:
    """Without one they are refused; on one they are mixed by their alpha."""
    top = 65_535 if deep else 255
    stored = (COLORS if deep else EIGHT)[..., : 3 if colors else 1]
    alpha = np.full((5, 7, 1), top, stored.dtype)
    alpha[2, 3], alpha[4, 1] = 0, top // 5
    pixels = np.dstack([stored, alpha])
    kind = 6 if colors else 4
    whole = png16(pixels, kind) if deep else saved(Image.fromarray(pixels))
    mode = natural_mode(opener(whole)())

    with pytest.raises(PixelsError, match="expected opaque pixels"):
        read(opener(whole), mode)
    for background in (0.0, 0.25, 1.0):
        found = read(opener(whole), mode, background=background)

        share = alpha / top
        wanted = share * stored + (1 - share) * top * background
        assert np.abs(found - wanted).max() <= 1.5
        assert (found[0] == stored[0]).all()


def test_a_color_that_is_declared_transparent_is_transparent() -> None:
    """With 16 bits too."""
    gray = np.array([[0, 258], [1, 65_535]], np.uint16)
    data = b"".join(b"\0" + row.astype(">u2").tobytes() for row in gray)

    def file(key: bytes) -> bytes:
        return by_hand(
            header(2, 2, depth=16),
            chunk(b"tRNS", key),
            chunk(b"IDAT", zlib.compress(data)),
        )

    np.testing.assert_array_equal(read(opener(file(b"\x07\x07")), "L")[..., 0], gray)
    with pytest.raises(PixelsError, match="expected opaque pixels"):
        read(opener(file(b"\x01\x02")), "L")


def test_more_than_16_bits_are_refused() -> None:
    """Floats and 32 bits have no known largest value."""
    for mode in ("F", "I"):
        image = Image.new(mode, (2, 2))
        with pytest.raises(PixelsError, match=f"8 or 16 bits, got {mode}"):
            read(opener(saved(image, "TIFF")), "L")
