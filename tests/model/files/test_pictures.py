"""Folders of images: one shape, upright, refused by name."""

import struct
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from model.data_config import Data
from model.files import Contents, DataError, ReadOptions, scratch
from model.files import read as read_path
from tests.app.pictures import png16

GRAY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
# Upright, by the orientation that a camera notes (Exif 2.3, table 4).
TURNED = {
    1: GRAY,
    2: GRAY[:, ::-1],
    3: GRAY[::-1, ::-1],
    4: GRAY[::-1],
    5: GRAY.T,
    6: GRAY.T[:, ::-1],
    7: GRAY.T[::-1, ::-1],
    8: GRAY.T[::-1],
}


def read(folder: Path, options: ReadOptions | None = None) -> Contents:
    """Read a folder of pictures."""
    return read_path(folder, options)


def save(folder: Path, name: str, pixels: object, mode: str | None = None) -> None:
    """Write an image, in another mode if asked."""
    image = Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(folder / name)


def test_gray_images_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    """Values are the bytes and other files are passed over."""
    save(tmp_path, "b.PNG", GRAY)
    save(tmp_path, "a.png", 255 - GRAY)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._a.png").write_text("not an image either")

    contents = read(tmp_path)

    np.testing.assert_array_equal(contents.rows.values, [255 - GRAY, GRAY])
    assert contents.rows.origin.images == ("a.png", "b.PNG")
    assert contents.name == tmp_path.name


def test_color_images_have_three_channels_last(tmp_path: Path) -> None:
    """RGB, palette and opaque RGBA images are all (H, W, 3)."""
    rgb = np.zeros((3, 4, 3), dtype=np.uint8)
    rgb[:, :2, 0] = 255
    for mode in ("RGB", "RGBA", "P"):
        save(tmp_path, f"{mode}.png", rgb, mode)

    contents = read(tmp_path)

    for values in contents.rows.values:
        np.testing.assert_array_equal(values, rgb)


def test_a_bitmap_is_black_and_white(tmp_path: Path) -> None:
    """Mode 1 becomes 0 and 255."""
    save(tmp_path, "a.png", GRAY > 100)

    contents = read(tmp_path)

    np.testing.assert_array_equal(contents.rows.values[0], (GRAY > 100) * 255)


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    """The orientation a camera noted is applied: 6 is a quarter turn clockwise."""
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.repeat(np.array([[0, 255]], dtype=np.uint8), 8, axis=0).repeat(8, 1)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=100)

    contents = read(tmp_path)

    upright = contents.rows.values[0]
    assert upright.shape == (16, 8)
    np.testing.assert_allclose(upright, np.rot90(pixels, k=-1), atol=5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "tiff_deflate"])
def test_a_tiff_is_turned_upright_once(
    tmp_path: Path, dtype: type[np.unsignedinteger[Any]], compression: str | None
) -> None:
    """Whatever the orientation: Pillow turns it while it decodes it."""
    exif = Image.Exif()
    for orientation, upright in TURNED.items():
        exif[0x0112] = orientation
        image = Image.fromarray(GRAY.astype(dtype))
        image.save(tmp_path / "a.tif", exif=exif, compression=compression)

        np.testing.assert_array_equal(read(tmp_path).rows.values, [upright])


def test_only_exif_turns_a_picture(tmp_path: Path) -> None:
    """As in a request, in which other metadata are not read."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"></x:xmpmeta>'
    Image.fromarray(GRAY).save(tmp_path / "a.jpg", xmp=xmp)

    assert read(tmp_path).rows.values[0].shape == GRAY.shape


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (GRAY.T.copy(), "3 x 4 gray"),
        (np.zeros((3, 4, 3), dtype=np.uint8), "4 x 3 RGB"),
    ],
)
def test_mixed_images_are_refused(
    tmp_path: Path, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], found: str
) -> None:
    """The first image that differs in size or color is named, and how it differs."""
    save(tmp_path, "a.png", GRAY)
    save(tmp_path, "b.png", pixels)
    save(tmp_path, "c.png", np.zeros((9, 9), dtype=np.uint8))

    with pytest.raises(DataError) as caught:
        read(tmp_path)

    assert f"b.png is {found} but a.png is 4 x 3 gray" in str(caught.value)


def png(
    width: int, height: int, *, depth: int = 8, kind: int = 0, row: bytes = b""
) -> bytes:
    """Return a small PNG that promises any size, of gray bytes or of given rows."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    pixels = zlib.compress((b"\0" + row) * height if row else bytes(range(256)) * 4)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)


@pytest.mark.parametrize("side", [4097, 12_000, 100_000])
def test_an_image_of_too_many_pixels_is_refused_by_its_header(
    tmp_path: Path, side: int
) -> None:
    """A decompression bomb is an error before any pixel is decoded."""
    (tmp_path / "bomb.png").write_bytes(png(side, side))

    with pytest.raises(DataError, match=r"bomb.png .*pixels"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"GIF89a", png(30, 30)[:-8], png(3, 3)[:30]])
def test_a_broken_image_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, foreign and truncated files are errors that name them."""
    (tmp_path / "a.png").write_bytes(content)

    with pytest.raises(DataError, match=r"a.png cannot be read as a picture"):
        read(tmp_path)


def test_broken_notes_of_a_camera_are_refused(tmp_path: Path) -> None:
    """Without its orientation it is unknown which way up an image is."""
    image = Image.fromarray(GRAY)
    image.save(tmp_path / "a.png", exif=b"Exif\0\0not a TIFF header")

    with pytest.raises(DataError, match=r"a.png cannot be read as a picture: not a"):
        read(tmp_path)


def test_the_content_and_not_the_name_says_the_format(tmp_path: Path) -> None:
    """A GIF under the name of a PNG is a GIF."""
    Image.fromarray(GRAY).save(tmp_path / "a.png", format="GIF")

    np.testing.assert_array_equal(read(tmp_path).rows.values, [GRAY])


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    """The error says what was looked for."""
    (tmp_path / "cats").mkdir()

    with pytest.raises(DataError, match=r"holds no pictures \(.*\.png.*\)$"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("part-0.parquet", "part-0.parquet is a file of rows; give one such file"),
        ("a/b/c.png", "a/b/c.png is too deep; one level of subfolders is read"),
    ],
)
def test_a_folder_of_other_files_is_refused_with_advice(
    tmp_path: Path, name: str, advice: str
) -> None:
    """Such as the parts of a table, as Spark writes them."""
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")

    with pytest.raises(DataError, match=advice):
        read(tmp_path)


def test_pictures_of_8_and_16_bits_are_refused_with_advice_that_helps(
    tmp_path: Path,
) -> None:
    """No option makes them alike."""
    save(tmp_path, "a.png", np.full((2, 2), 7, np.uint8))
    save(tmp_path, "b.png", np.full((2, 2), 700, np.uint16))

    for mode in (None, "gray", "color"):
        with pytest.raises(DataError, match=r"all with 8 bits, or all with 16$"):
            read(tmp_path, ReadOptions(mode=mode))


def test_an_empty_picture_is_refused_by_its_own_name_alone(tmp_path: Path) -> None:
    """Pillow names the open file of Python."""
    save(tmp_path, "a.png", np.full((2, 2), 7, np.uint8))
    (tmp_path / "b.png").write_bytes(b"")

    with pytest.raises(
        DataError, match=r"b\.png cannot .* empty or .* out of the folder"
    ):
        read(tmp_path)


@pytest.mark.parametrize(
    "name", ["a.png", "a.bmp", "a.tiff", "a.gif", "a.webp", "a.pgm", "a.tga", "a.ico"]
)
def test_every_format_without_loss_gives_the_same_pixels(
    tmp_path: Path, name: str
) -> None:
    """Any format that Pillow reads, by its content."""
    pixels = np.kron(GRAY, np.ones((8, 8), np.uint8))[:16, :16]
    options: dict[str, dict[str, Any]] = {
        "a.webp": {"lossless": True},
        "a.ico": {"sizes": [(16, 16)]},
    }
    Image.fromarray(pixels).save(tmp_path / name, **options.get(name, {}))

    contents = read(tmp_path, ReadOptions(mode="gray"))

    np.testing.assert_array_equal(contents.rows.values, [pixels])


def test_of_an_animation_the_first_frame_is_read_and_said(tmp_path: Path) -> None:
    """A GIF of several frames is one picture."""
    frames = [Image.fromarray(GRAY), Image.fromarray(255 - GRAY)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])

    contents = read(tmp_path)

    np.testing.assert_array_equal(contents.rows.values, [GRAY])
    assert contents.notes == ("a.gif is read from the first frame",)


@pytest.mark.parametrize(
    ("background", "level"), [(None, 255), ("white", 255), ("black", 0)]
)
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_a_background_and_said(
    tmp_path: Path, background: str | None, level: int, mode: str
) -> None:
    """Hidden colors are no data; half transparent ones are mixed with the ground."""
    image = Image.fromarray(np.full((1, 3), 100, np.uint8)).convert("RGBA")
    image.putalpha(Image.fromarray(np.array([[0, 255, 51]], np.uint8)))
    if mode == "LA":
        image = image.convert("LA")
    if mode == "P":
        image = image.quantize(8)
    image.save(tmp_path / "a.png")
    options: dict[str, Any] = {} if background is None else {"background": background}

    contents = read(tmp_path, ReadOptions(**options))

    expected = [level, 100, round(0.8 * level + 0.2 * 100)]
    found = contents.rows.values[0, 0]
    gray = found if found.ndim == 1 else found[:, 0]
    np.testing.assert_allclose(gray, expected, atol=1)
    assert contents.background == level / 255
    assert any("where transparent: --background" in note for note in contents.notes)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "LA", "I;16"])
@pytest.mark.parametrize("wanted", ["gray", "grey", "color"])
def test_modes_are_converted_to_the_one_of_the_option(
    tmp_path: Path, mode: str, wanted: str
) -> None:
    """Gray or color, whatever the file has."""
    name = "a.tif"
    pixels = np.array([[0, 255, 255, 0]], np.uint8)
    image = Image.fromarray(pixels)
    if mode == "I;16":
        Image.fromarray(pixels.astype(np.uint16) * 257).save(tmp_path / name)
    else:
        image.convert(mode).save(tmp_path / name)

    contents = read(tmp_path, ReadOptions(mode=wanted))  # type: ignore[arg-type]

    values = contents.rows.values / (65535 if mode == "I;16" else 255)
    expected = pixels / 255 if wanted != "color" else (pixels / 255)[..., None]
    np.testing.assert_array_equal(
        values[0], np.broadcast_to(expected, values.shape[1:])
    )


def test_mixed_sizes_are_scaled_to_the_size_of_the_option_and_it_is_said(
    tmp_path: Path,
) -> None:
    """By averaging areas, without keeping the aspect ratio."""
    save(tmp_path, "a.png", np.array([[0, 100], [100, 200]], np.uint8))
    save(tmp_path, "b.png", np.full((8, 4), 7, np.uint8))
    save(tmp_path, "c.png", np.full((1, 2), 9, np.uint8))
    with pytest.raises(DataError, match="--size HEIGHTxWIDTH makes them so"):
        read(tmp_path)

    contents = read(tmp_path, ReadOptions(size="1x2"))

    np.testing.assert_array_equal(
        contents.rows.values, [[[50, 150]], [[7, 7]], [[9, 9]]]
    )
    assert contents.notes == (
        (
            "2 of 3 pictures are scaled by averaging areas, without keeping the aspect"
            " ratio"
        ),
    )
    assert read(tmp_path, ReadOptions(size="3")).rows.values.shape == (3, 3, 3)


@pytest.mark.parametrize("size", ["0x3", "3x", "axb", "5000x2", "", "-1"])
def test_a_size_that_is_none_is_refused(tmp_path: Path, size: str) -> None:
    """The error says what was expected."""
    save(tmp_path, "a.png", GRAY)

    with pytest.raises(DataError, match="--size must be HEIGHTxWIDTH"):
        read(tmp_path, ReadOptions(size=size))


def test_sixteen_bits_of_gray_are_kept(tmp_path: Path) -> None:
    """The values are those of the file, not cut to eight bits."""
    pixels = GRAY.astype(np.uint16) * 257 + 3
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.tif")

    contents = read(tmp_path)

    assert contents.rows.values.dtype == np.uint16
    np.testing.assert_array_equal(contents.rows.values, [pixels, pixels])


@pytest.mark.parametrize(("kind", "n_channels"), [(2, 3), (4, 2), (6, 4)])
@pytest.mark.parametrize("mode", [None, "gray", "color"])
def test_sixteen_bits_of_colors_and_alpha_are_kept(
    tmp_path: Path, kind: int, n_channels: int, mode: Literal["gray", "color"] | None
) -> None:
    """Laid on the background and turned gray in 16 bits too."""
    stored = np.random.default_rng(0).integers(0, 65_536, (4, 5, n_channels))
    (tmp_path / "a.png").write_bytes(png16(stored, kind))

    contents = read(tmp_path, ReadOptions(mode=mode))

    alpha = stored[..., -1:] if kind > 3 else np.full((4, 5, 1), 65_535)
    colors, share = stored[..., : 1 if kind == 4 else 3], alpha / 65_535
    wanted = colors * share + 65_535 * (1 - share)
    if mode == "gray" and colors.shape[2] == 3:
        wanted = wanted @ [0.299, 0.587, 0.114]
    elif mode == "color":
        wanted = np.broadcast_to(wanted, (4, 5, 3))
    found = contents.rows.values[0]
    assert found.dtype == np.uint16
    assert np.abs(found - wanted.reshape(found.shape)).max() <= 1.5


def test_subfolders_are_classes(tmp_path: Path) -> None:
    """Their order is that of their names, and it is said."""
    for name in ("dogs", "cats"):
        (tmp_path / name).mkdir()
        save(tmp_path / name, "a.png", GRAY if name == "dogs" else 255 - GRAY)
    (tmp_path / "empty").mkdir()

    contents = read(tmp_path)

    np.testing.assert_array_equal(contents.rows.values, [255 - GRAY, GRAY])
    assert contents.rows.labels is not None
    assert contents.rows.labels.tolist() == [0, 1]
    assert contents.rows.origin.images == ("cats/a.png", "dogs/a.png")
    assert contents.notes[0].endswith(
        f"subfolders of {tmp_path.name}: 0 = cats, 1 = dogs"
    )


def test_subfolders_train_and_test_are_splits_and_no_classes(tmp_path: Path) -> None:
    """Each with its pictures, or with classes of its own."""
    for i, split in enumerate(("train", "val", "test")):
        for name in ("cats", "dogs"):
            (tmp_path / split / name).mkdir(parents=True)
            save(tmp_path / split / name, "a.png", GRAY + np.uint8(i))

    contents = read(tmp_path)

    for i, rows in enumerate((contents.rows, contents.validation, contents.test)):
        assert rows is not None
        np.testing.assert_array_equal(rows.values, [GRAY + i, GRAY + i])
        assert rows.labels is not None
        assert rows.labels.tolist() == [0, 1]


def test_what_is_beside_splits_is_left_out_and_said(tmp_path: Path) -> None:
    """And two folders of one split are refused."""
    for name in ("train", "test", "extra"):
        (tmp_path / name).mkdir()
        save(tmp_path / name, "a.png", GRAY)

    contents = read(tmp_path)

    assert len(contents.rows.values) == 1
    assert contents.notes[0].endswith("left out: extra")
    for name in ("val", "valid"):
        (tmp_path / name).mkdir()
        save(tmp_path / name, "a.png", GRAY)
    with pytest.raises(
        DataError, match="two folders of validation rows, val and valid"
    ):
        read(tmp_path)


def test_pictures_beside_subfolders_with_pictures_are_refused(tmp_path: Path) -> None:
    """It would be a guess whether those are of a class."""
    (tmp_path / "cats").mkdir()
    save(tmp_path / "cats", "a.png", GRAY)
    save(tmp_path, "b.png", GRAY)

    with pytest.raises(DataError, match=r"has pictures, such as b.png, and subfolders"):
        read(tmp_path)


def test_many_pictures_are_decoded_once_into_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where memory would not hold them, the array is memory-mapped."""
    for name in "abc":
        save(tmp_path, f"{name}.png", GRAY)
    monkeypatch.setattr(scratch, "limit", lambda: 3 * GRAY.size - 1)

    contents = read(tmp_path)

    assert isinstance(contents.rows.values, np.memmap)
    np.testing.assert_array_equal(contents.rows.values, [GRAY, GRAY, GRAY])


def test_options_that_are_not_given_are_those_of_the_training(tmp_path: Path) -> None:
    """For folders of pictures, which evaluation and bulk commands read."""
    data = Data(
        name="pets",
        divided_by=255.0,
        background=0.0,
        turned_gray=True,
        binarization="none",
        standardized=False,
    )

    found = ReadOptions(size="3").as_trained(tmp_path, data)

    assert found == ReadOptions(size="3", mode="gray", background="black")
    given = ReadOptions(mode="color", background="white")
    assert given.as_trained(tmp_path, data) == given
    assert ReadOptions().as_trained(tmp_path / "x.npy", data) == ReadOptions()
