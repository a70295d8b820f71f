"""Folders of images: one shape, upright, refused by name."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.files import DataError, pictures

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def save(folder: Path, name: str, pixels: object, mode: str | None = None) -> None:
    """Write an image, in another mode if asked."""
    image = Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(folder / name)


def test_grey_images_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    """Values are the bytes and other files are passed over."""
    save(tmp_path, "b.PNG", GREY)
    save(tmp_path, "a.png", 255 - GREY)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._a.png").write_text("not an image either")

    contents = pictures.read(tmp_path)

    np.testing.assert_array_equal(contents.rows.values, [255 - GREY, GREY])
    assert contents.rows.origin.images == ("a.png", "b.PNG")
    assert contents.name == tmp_path.name


def test_color_images_have_three_channels_last(tmp_path: Path) -> None:
    """RGB, palette and opaque RGBA images are all (H, W, 3)."""
    rgb = np.zeros((3, 4, 3), dtype=np.uint8)
    rgb[:, :2, 0] = 255
    for mode in ("RGB", "RGBA", "P"):
        save(tmp_path, f"{mode}.png", rgb, mode)

    contents = pictures.read(tmp_path)

    for values in contents.rows.values:
        np.testing.assert_array_equal(values, rgb)


def test_a_bitmap_is_black_and_white(tmp_path: Path) -> None:
    """Mode 1 becomes 0 and 255."""
    save(tmp_path, "a.png", GREY > 100)

    contents = pictures.read(tmp_path)

    np.testing.assert_array_equal(contents.rows.values[0], (GREY > 100) * 255)


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    """The orientation a camera noted is applied: 6 is a quarter turn clockwise."""
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.repeat(np.array([[0, 255]], dtype=np.uint8), 8, axis=0).repeat(8, 1)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=100)

    contents = pictures.read(tmp_path)

    upright = contents.rows.values[0]
    assert upright.shape == (16, 8)
    np.testing.assert_allclose(upright, np.rot90(pixels, k=-1), atol=5)


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (GREY.T.copy(), "3 x 4 gray"),
        (np.zeros((3, 4, 3), dtype=np.uint8), "4 x 3 RGB"),
    ],
)
def test_mixed_images_are_refused(
    tmp_path: Path, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], found: str
) -> None:
    """The first image that differs in size or color is named, and how it differs."""
    save(tmp_path, "a.png", GREY)
    save(tmp_path, "b.png", pixels)
    save(tmp_path, "c.png", np.zeros((9, 9), dtype=np.uint8))

    with pytest.raises(DataError) as caught:
        pictures.read(tmp_path)

    assert f"b.png is {found} but a.png is 4 x 3 gray" in str(caught.value)


def test_transparent_pixels_are_refused(tmp_path: Path) -> None:
    """What is hidden behind transparency is not silently data."""
    rgba = np.full((3, 4, 4), 255, dtype=np.uint8)
    rgba[1, 1, 3] = 254
    save(tmp_path, "a.png", rgba)

    with pytest.raises(DataError, match=r"a.png has transparent pixels"):
        pictures.read(tmp_path)


def test_sixteen_bit_images_are_refused(tmp_path: Path) -> None:
    """A conversion to 8 bits would clip, so there is none."""
    save(tmp_path, "a.png", GREY.astype(np.uint16) * 100)

    with pytest.raises(DataError, match=r"a.png has mode I;16, expected 8-bit"):
        pictures.read(tmp_path)


def png(width: int, height: int) -> bytes:
    """Return a small gray PNG that promises any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(range(256)) * 4)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)


@pytest.mark.parametrize("side", [4097, 12_000, 100_000])
def test_an_image_of_too_many_pixels_is_refused_by_its_header(
    tmp_path: Path, side: int
) -> None:
    """A decompression bomb is an error before any pixel is decoded."""
    (tmp_path / "bomb.png").write_bytes(png(side, side))

    with pytest.raises(DataError, match=r"bomb.png .*pixels"):
        pictures.read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"GIF89a", png(30, 30)[:-8], png(3, 3)[:30]])
def test_a_broken_image_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, foreign and truncated files are errors that name them."""
    (tmp_path / "a.png").write_bytes(content)

    with pytest.raises(DataError, match=r"a.png cannot be read as an image"):
        pictures.read(tmp_path)


def test_broken_notes_of_a_camera_are_refused(tmp_path: Path) -> None:
    """Without its orientation it is unknown which way up an image is."""
    image = Image.fromarray(GREY)
    image.save(tmp_path / "a.png", exif=b"Exif\0\0not a TIFF header")

    with pytest.raises(DataError, match=r"a.png cannot be read as an image: not a"):
        pictures.read(tmp_path)


def test_other_formats_under_a_known_extension_are_refused(tmp_path: Path) -> None:
    """Only the decoders of PNG and JPEG see the files of a user."""
    Image.fromarray(GREY).save(tmp_path / "a.png", format="GIF")

    with pytest.raises(DataError, match=r"a.png cannot be read as an image"):
        pictures.read(tmp_path)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    """The error says what was looked for."""
    (tmp_path / "cats").mkdir()

    with pytest.raises(DataError, match=r"holds no .png, .jpg or .jpeg images"):
        pictures.read(tmp_path)
