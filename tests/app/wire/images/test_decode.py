"""Images in: the same numbers as JSON where they are exact, refused where not."""

import base64
import io
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.wire.images.decode import ImageFile
from app.wire.images.header import orientation
from app.wire.images.layout import image_layout
from app.wire.negotiation import JPEG, PNG
from model import files as folders
from tests.app.pictures import (
    by_hand,
    chunk,
    decoded,
    header,
    image_model,
    png,
    png16,
    saved,
)
from tests.app.processes import ROOT
from tests.app.served import Served, assert_problem
from tests.warm_start import WarmPopen

RNG = np.random.default_rng(3)
GRAY = RNG.integers(0, 256, (4, 4), dtype=np.uint8)
COLORS = RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def color(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a continuous Bernoulli with RGB images of 5 x 4."""
    directory = tmp_path_factory.mktemp("color") / "model"
    with Served(image_model(directory, "continuous_bernoulli", (4, 5, 3))) as served:
        yield served


def values(pixels: NDArray[np.uint8]) -> list[Any]:
    """Return pixels as numbers, one row."""
    rounded = (pixels.astype(np.float32) / np.float32(255)).astype(float)
    row: list[Any] = rounded.tolist()
    return [row]


def post(
    served: Served, url: str, file: bytes, kind: str = "image/png"
) -> httpx.Response:
    """Post an image."""
    return served.post_raw(url, file, {"content-type": kind})


def url_of(file: bytes, kind: str = "png") -> str:
    """Return a file as a data URL."""
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"


def test_a_gray_image_is_its_pixels_over_255(bernoulli: Served) -> None:
    """All 256 shades are what training makes of them; the answer is that of JSON."""
    wanted = bernoulli.post("/encode", {"x": values(GRAY)})

    response = post(bernoulli, "/encode", png(GRAY))

    assert wanted.status_code == 200
    assert response.content == wanted.content


def test_a_color_image_is_its_pixels_over_255(color: Served) -> None:
    """Channels are last, in the order red, green, blue."""
    wanted = color.post("/encode", {"x": values(COLORS)})

    response = post(color, "/encode", png(COLORS))

    assert wanted.status_code == 200
    assert response.content == wanted.content


def test_images_are_read_as_training_reads_a_folder(tmp_path: Path) -> None:
    """The rows are bit for bit those of `--data folder/`, cameras' turns undone."""
    turned = Image.Exif()
    turned[0x0112] = 6
    photo = Image.fromarray(RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    files = {
        "a.jpg": (saved(photo, "JPEG", quality=90, exif=turned), JPEG),
        "b.png": (png(RNG.integers(0, 256, (30, 20, 3))), PNG),
        "c.png": (saved(photo, exif=turned), PNG),
        "d.png": (saved(photo.transpose(Image.Transpose.ROTATE_90).quantize(9)), PNG),
    }
    for name, (content, _) in files.items():
        (tmp_path / name).write_bytes(content)
    wanted = folders.read(tmp_path).rows.values

    layout = image_layout(wanted.shape[1:], max_pixels=1 << 20)
    rows = decoded(
        [ImageFile("", f, c) for c, f in files.values()], layout, resize=False
    )

    assert (layout.height, layout.width, layout.n_channels) == (30, 20, 3)
    x = wanted.reshape(len(files), -1) / np.float32(255)
    np.testing.assert_array_equal(rows.values, x)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_a_camera_is_undone(orientation: int) -> None:
    """The eight of Exif are those of Pillow's own function."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = saved(Image.fromarray(COLORS), exif=exif)
    height, width = (4, 5) if orientation < 5 else (5, 4)
    layout = image_layout((height, width, 3), max_pixels=100)

    rows = decoded([ImageFile("", PNG, file)], layout, resize=False)

    upright = [
        COLORS,
        COLORS[:, ::-1],
        COLORS[::-1, ::-1],
        COLORS[::-1],
        COLORS.swapaxes(0, 1),
        COLORS.swapaxes(0, 1)[:, ::-1],
        COLORS[::-1, ::-1].swapaxes(0, 1),
        COLORS.swapaxes(0, 1)[::-1],
    ][orientation - 1]
    np.testing.assert_array_equal(np.rint(rows.values * 255), upright.reshape(1, -1))


EXIF = {
    "little": b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0",
    "big": b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0",
}


@pytest.mark.parametrize("order", EXIF)
def test_orientation_is_read_in_both_byte_orders(order: str) -> None:
    """Cut off anywhere, it is upright; nothing is raised."""
    exif = EXIF[order]

    assert orientation(exif) == 6
    assert {orientation(exif[:i]) for i in range(len(exif) - 3)} == {1}


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"XX" + EXIF["little"][2:],
        EXIF["little"].replace(b"\x06", b"\x09"),
        EXIF["little"].replace(b"\x06", b"\x00"),
        EXIF["little"].replace(b"\x03\0", b"\x04\0"),
        EXIF["little"].replace(b"\x12\x01", b"\x0e\x01"),
        b"II*\0\xff\xff\xff\xff\xff\xff",
        b"II*\0\x00\0\0\0" + b"\xff" * 1000,
    ],
)
def test_other_exif_data_are_upright(exif: bytes) -> None:
    """Damaged or without an orientation of 1 to 8."""
    assert orientation(exif) == 1


def test_a_jpeg_is_the_pixels_its_decoder_gives(color: Served) -> None:
    """JPEG loses, but before it is sent."""
    file = saved(Image.fromarray(COLORS), "JPEG")
    pixels = np.asarray(Image.open(io.BytesIO(file)))
    wanted = color.post("/encode", {"x": values(pixels)})

    response = post(color, "/encode", file, "image/jpeg")

    assert wanted.status_code == 200
    assert response.content == wanted.content


OPAQUE = np.full((4, 4, 1), 255, np.uint8)
GRAYS = GRAY[..., None].repeat(3, axis=2)
NARROW = Image.fromarray(GRAY % 2 * 255).convert("1")
EXACT = {
    "gray with alpha": (png(np.dstack([GRAY, OPAQUE])), GRAY),
    "RGB without colors": (png(GRAYS), GRAY),
    "a canvas": (png(np.dstack([GRAYS, OPAQUE])), GRAY),
    "palette": (saved(Image.fromarray(GRAYS).quantize(256)), GRAY),
    "one bit": (saved(NARROW), GRAY % 2 * 255),
    "two bits": (
        by_hand(
            header(4, 4, depth=2),
            chunk(b"IDAT", zlib.compress(b"\x00\x1b" * 4)),
        ),
        np.tile(np.array([0, 85, 170, 255], np.uint8), (4, 1)),
    ),
    "opaque tRNS": (
        by_hand(
            header(4, 4),
            chunk(b"tRNS", b"\x00\x01"),
            chunk(b"IDAT", zlib.compress(b"\x00\x02\x03\x04\x05" * 4)),
        ),
        np.tile(np.array([2, 3, 4, 5], np.uint8), (4, 1)),
    ),
    "described": (
        by_hand(
            header(4, 4),
            chunk(b"tEXt", b"Title\0cat"),
            chunk(b"iCCP", b"broken profile"),
            chunk(b"IDAT", zlib.compress(b"\x00\x02\x03\x04\x05" * 4)),
        ),
        np.tile(np.array([2, 3, 4, 5], np.uint8), (4, 1)),
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_other_kinds_are_accepted_where_nothing_is_lost(
    bernoulli: Served, name: str
) -> None:
    """Opaque alpha, equal channels, palettes and few bits are gray images too."""
    file, pixels = EXACT[name]

    response = post(bernoulli, "/encode", file)

    assert response.status_code == 200, response.text
    assert response.content == bernoulli.post("/encode", {"x": values(pixels)}).content


def test_gray_is_color_with_equal_channels(color: Served) -> None:
    """A gray image for a model of RGB images is repeated."""
    gray = COLORS[..., 0]
    wanted = values(gray[..., None].repeat(3, axis=2))

    response = post(color, "/encode", png(gray))

    assert response.content == color.post("/encode", {"x": wanted}).content


ANIMATED = saved(
    Image.fromarray(GRAY),
    save_all=True,
    append_images=[Image.fromarray(255 - GRAY)],
)
DATA = chunk(b"IDAT", zlib.compress(b"\x00\x02\x03\x04\x05" * 4))
REFUSED = {
    "empty": (b"", "PNG file"),
    "text": (b"hello", "PNG file"),
    "JPEG": (
        saved(Image.fromarray(GRAY), "JPEG"),
        "expected a PNG file, got a JPEG file; its media type is image/jpeg",
    ),
    "GIF": (saved(Image.fromarray(GRAY), "GIF"), "got a GIF file; convert it to PNG"),
    "SVG": (b"<svg/>", "got markup, such as SVG or HTML; convert a drawing to PNG"),
    "base64": (b"data:image/png;base64,", "got a data URL; decode its base64"),
    "no image": (b"what is this?", "expected a PNG file, got something else"),
    "signature alone": (png(GRAY)[:8], "truncated"),
    "half": (png(GRAY)[: len(png(GRAY)) // 2], "truncated"),
    "no end": (png(GRAY)[:-12], "truncated"),
    "damaged": (png(GRAY)[:45] + b"\xff" + png(GRAY)[46:], "CRC"),
    "no header": (by_hand(DATA), "header"),
    "header second": (by_hand(DATA, header(4, 4)), "header"),
    "two headers": (by_hand(header(4, 4), header(4, 4), DATA), "header"),
    "short header": (
        by_hand(chunk(b"IHDR", b"\0\0\0\4\0\0\0\4\x08\0"), DATA),
        "header",
    ),
    "no data": (by_hand(header(4, 4)), ""),
    "few data": (by_hand(header(4, 4), chunk(b"IDAT", zlib.compress(b"\0"))), "whole"),
    "no zlib": (by_hand(header(4, 4), chunk(b"IDAT", b"what is this?")), "whole"),
    "no pixels": (by_hand(header(0, 4), DATA), ""),
    "no palette": (by_hand(header(4, 4, color=3), DATA), ""),
    "no such color": (by_hand(header(4, 4, color=5), DATA), ""),
    "animation": (ANIMATED, "animation"),
    "16 bits of colors": (png16(COLORS[:, :4], 2), "colors"),
    "16 bits, transparent": (png16(np.dstack([GRAYS, OPAQUE - 1]), 6), "opaque"),
    "16 bits, cut off": (
        by_hand(header(4, 4, depth=16, color=2), chunk(b"IDAT", zlib.compress(b"\0"))),
        "whole",
    ),
    "transparent": (
        png(np.dstack([GRAYS, OPAQUE - 1])),
        "expected opaque pixels, got transparent ones; fill the background first",
    ),
    "transparent gray": (
        by_hand(header(4, 4), chunk(b"tRNS", b"\x00\x02"), DATA),
        "opaque",
    ),
    "colors": (
        png(COLORS[:, :4]),
        "expected a gray image, got one with colors; convert it to gray first",
    ),
    "size": (png(COLORS[..., 0]), "of 4 x 4, got 5 x 4"),
    "larger": (png(np.zeros((30, 40))), "of 4 x 4, got 40 x 30"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_the_model_s_image_is_refused(bernoulli: Served, name: str) -> None:
    """Each is a 422 that says what was wanted and what came."""
    file, words = REFUSED[name]

    problem = assert_problem(post(bernoulli, "/encode", file), 422)

    assert words in problem["detail"]
    assert problem["errors"][0]["pointer"] == ""


def test_a_palette_that_comes_too_late_is_refused(color: Served) -> None:
    """Pillow asserts that one is there before the pixels."""
    height, width, _ = color.checkpoint.config.data_shape
    rows = chunk(b"IDAT", zlib.compress(bytes(height * (1 + width))))

    file = by_hand(header(width, height, color=3), rows, chunk(b"PLTE", bytes(6)))
    problem = assert_problem(post(color, "/encode", file), 422)

    assert "damaged" in problem["detail"]


BAD_JPEG = {
    "PNG": (png(GRAY), "JPEG file"),
    "empty": (b"", "JPEG file"),
    "colors": (saved(Image.new("RGB", (4, 4), "red"), "JPEG"), "colors"),
    "size": (saved(Image.new("L", (5, 4)), "JPEG"), "of 4 x 4, got 5 x 4"),
    "header alone": (saved(Image.new("L", (4, 4)), "JPEG")[:200], ""),
    "scans": (
        saved(Image.new("L", (4, 4)), "JPEG") + b"\xff\xda" * 32,
        "at most 32 scans",
    ),
}


@pytest.mark.parametrize("name", BAD_JPEG)
def test_bad_jpegs_are_refused(bernoulli: Served, name: str) -> None:
    """Each is a 422 that says what was wanted and what came."""
    file, words = BAD_JPEG[name]

    problem = assert_problem(post(bernoulli, "/encode", file, "image/jpeg"), 422)

    assert words in problem["detail"]


def test_progressive_and_multiple_pictures_are_jpeg(bernoulli: Served) -> None:
    """Scans as programs write them are few, and of a camera's pictures the first is."""
    photo, other = Image.fromarray(GRAY), Image.fromarray(255 - GRAY)
    wanted = post(bernoulli, "/encode", saved(photo, "JPEG"), "image/jpeg")

    progressive = saved(photo, "JPEG", progressive=True)
    several = saved(photo, "MPO", save_all=True, append_images=[other])

    assert wanted.status_code == 200
    for file in (progressive, several):
        response = post(bernoulli, "/encode", file, "image/jpeg")
        assert response.content == wanted.content


@pytest.mark.slow("decodes many images")
@pytest.mark.parametrize(("format_", "kind"), [(PNG, "PNG"), (JPEG, "JPEG")])
def test_no_damage_is_a_defect(bernoulli: Served, format_: Any, kind: str) -> None:
    """A file cut off anywhere, or with any byte changed, is answered or a 4xx."""
    exif = Image.Exif()
    exif[0x0112] = 2
    file = saved(Image.fromarray(GRAY), kind, exif=exif)
    whole = post(bernoulli, "/encode", file, format_.name)
    damaged = [
        file[:i] + bytes([file[i] ^ 255]) + file[i + 1 :] for i in range(len(file))
    ]

    cut = [post(bernoulli, "/encode", file[:i], format_.name) for i in range(len(file))]
    changed = [post(bernoulli, "/encode", one, format_.name) for one in damaged]

    # Of JPEG the end may be missing: all pixels are there.
    assert all(r.status_code == 422 or r.content == whole.content for r in cut)
    assert sum(r.status_code == 422 for r in cut) >= len(file) - 2
    assert {r.status_code for r in changed} <= {200, 413, 422}
    assert kind == "JPEG" or {r.status_code for r in changed} == {422}


def test_another_size_is_resized_if_that_is_asked(bernoulli: Served) -> None:
    """Areas are averaged, across and then down, each time rounded: less than 1 off."""
    large = RNG.integers(0, 256, (12, 8), dtype=np.uint8)
    means = large.reshape(4, 3, 4, 2).mean(axis=(1, 3))

    response = post(bernoulli, "/encode?resize=true", png(large))

    layout = image_layout((4, 4), max_pixels=1000)
    row = decoded([ImageFile("", PNG, png(large))], layout, resize=True).values
    pixels = np.rint(row.reshape(4, 4) * 255)
    assert np.abs(pixels - means).max() < 1
    wanted = bernoulli.post("/encode", {"x": values(pixels.astype(np.uint8))})
    assert response.content == wanted.content


@pytest.mark.parametrize("asked", ["yes", "1", "True", ""])
def test_resize_is_true_or_false(bernoulli: Served, asked: str) -> None:
    """Nothing else is taken for a truth value."""
    response = post(bernoulli, f"/encode?resize={asked}", png(GRAY))

    problem = assert_problem(response, 422)
    assert problem["errors"][0]["pointer"] == "/resize"


def test_the_elbo_of_an_image(bernoulli: Served) -> None:
    """Black and white are in {0, 1}; an error names the first gray value."""
    sharp = (GRAY > 127) * np.uint8(255)
    asked = {"x": values(sharp), "seed": 4, "n_samples": 3}

    exact = post(bernoulli, "/elbo?seed=4&n_samples=3", png(sharp))
    gray = post(
        bernoulli,
        "/elbo",
        png(np.array([[0, 255, 255, 0]] * 3 + [[0, 51, 0, 0]], np.uint8)),
    )
    sampled = post(bernoulli, "/elbo?seed=4&binarize=sample", png(GRAY))

    assert exact.content == bernoulli.post("/elbo", asked).content
    problem = assert_problem(gray, 422)
    assert "got 0.2" in problem["detail"]
    assert "at [3, 1]" in problem["detail"]
    assert "binarize" in problem["detail"]
    drawn = {"x": values(GRAY), "seed": 4, "binarize": "sample"}
    assert sampled.content == bernoulli.post("/elbo", drawn).content


@cache
def zeros(width: int, height: int) -> bytes:
    """Return a PNG that is whole, all black and short."""
    data = zlib.compressobj(1)
    row = bytes(1 + width)
    parts = [data.compress(row * 100) for _ in range(height // 100)]
    return by_hand(
        header(width, height), chunk(b"IDAT", b"".join(parts) + data.flush())
    )


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "PNG of 900 million pixels": (
        lambda: by_hand(header(30_000, 30_000), DATA),
        "30000 x 30000",
    ),
    "whole PNG of 81 million": (lambda: zeros(9_000, 9_000), "9000 x 9000"),
    "JPEG of 3.6 billion": (
        lambda: saved(Image.new("L", (1000, 1000)), "JPEG").replace(
            struct.pack(">HH", 1000, 1000), struct.pack(">HH", 60_000, 60_000)
        ),
        "60000 x 60000",
    ),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return a line of the reader for each bomb."""
    folder = tmp_path_factory.mktemp("bombs")
    for name, (make, _) in BOMBS.items():
        (folder / name).write_bytes(make())
    files = [str(folder / name) for name in BOMBS]
    command = [sys.executable, "-m", "tests.app.wire.images.bombs", *files]
    with WarmPopen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as reader:
        printed, _ = reader.communicate()
    assert reader.returncode == 0
    return dict(zip(BOMBS, printed.splitlines(), strict=True))


@pytest.mark.slow("starts processes")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_is_decoded(
    bernoulli: Served, refusals: dict[str, str], name: str
) -> None:
    """It is a 413 that costs no memory, measured in a process of its own."""
    make, size = BOMBS[name]
    kind = "image/png" if "PNG" in name else "image/jpeg"

    response = post(bernoulli, "/encode?resize=true", make(), kind)
    assert f"got {size}" in assert_problem(response, 413)["detail"]
    detail, kibibytes = refusals[name].split("\t")
    assert f"got {size}" in detail
    assert int(kibibytes) < 5_000


MANY = {
    "comments": (b"\xff\xd8" + b"\xff\xfe\0\2" * 100_000, JPEG, "4096 segments"),
    "fill": (b"\xff\xd8" + b"\xff" * 100_000, JPEG, "4096 segments"),
    "tables": (
        b"\xff\xd8"
        + (b"\xff\xe0\xff\xff" + bytes(65_533)) * 5
        + saved(Image.fromarray(GRAY), "JPEG")[2:],
        JPEG,
        "262144 bytes",
    ),
    "short segment": (b"\xff\xd8\xff\xe0\0\1" + bytes(100), JPEG, "damaged"),
    "texts": (by_hand(header(4, 4), chunk(b"tEXt") * 20_000, DATA), PNG, "16384"),
    "data": (by_hand(header(4, 4), chunk(b"IDAT") * 20_000, DATA), PNG, "16384"),
    "palettes": (by_hand(header(4, 4), chunk(b"PLTE", b"abc") * 2, DATA), PNG, "PLTE"),
    "palette": (by_hand(header(4, 4), chunk(b"PLTE", bytes(771)), DATA), PNG, "PLTE"),
    "tRNS": (by_hand(header(4, 4), chunk(b"tRNS", bytes(257)), DATA), PNG, "tRNS"),
}


@pytest.mark.parametrize("name", MANY)
def test_parts_of_a_file_are_few_and_short(bernoulli: Served, name: str) -> None:
    """Each is counted before anything is kept of it."""
    file, format_, words = MANY[name]

    problem = assert_problem(post(bernoulli, "/encode", file, format_.name), 422)

    assert words in problem["detail"]


def test_what_is_between_the_passes_of_resizing_is_limited(bernoulli: Served) -> None:
    """A high and narrow image is as wide as the model's after the first pass."""
    with Served(
        bernoulli.settings.checkpoint_directory, max_image_pixels=2000
    ) as served:
        high = post(served, "/encode?resize=true", png(np.zeros((1000, 1))))
        low = post(served, "/encode?resize=true", png(np.zeros((1, 1000))))
        longer = post(served, "/encode?resize=true", png(np.zeros((1, 65_536))))

    assert_problem(high, 413)
    assert low.status_code == 200
    assert_problem(longer, 413)


def test_many_scans_are_for_small_images(bernoulli: Served) -> None:
    """Each is a pass over all pixels; together they are limited like pixels."""
    photo = Image.new("RGB", (100, 100))
    plain = saved(photo, "JPEG")
    scans = saved(photo, "JPEG", progressive=True)

    with Served(
        bernoulli.settings.checkpoint_directory, max_image_pixels=10_000
    ) as served:
        few = post(served, "/encode?resize=true", scans, "image/jpeg")
        many = post(
            served, "/encode?resize=true", plain + b"\xff\xda" * 12, "image/jpeg"
        )

    assert few.status_code == 200
    assert "13 scans" in assert_problem(many, 413)["detail"]


def test_compressed_texts_are_never_unpacked(bernoulli: Served) -> None:
    """A picture may carry text that unpacks to a gigabyte; it is not read."""
    text = chunk(b"zTXt", b"Title\0\0" + zlib.compress(bytes(1 << 20), 9))
    tracemalloc.start()

    response = post(bernoulli, "/encode", by_hand(header(4, 4), *[text] * 1000, DATA))

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert response.status_code == 200
    assert peak < 16e6  # the request is of 1 MB


@pytest.mark.slow("compresses 64 MiB")
def test_data_that_unpack_to_more_than_the_image_are_not_unpacked(
    bernoulli: Served,
) -> None:
    """Decoding ends with the last pixel."""
    data = chunk(b"IDAT", zlib.compress(b"\x00\x02\x03\x04\x05" * 4 + bytes(1 << 26)))

    response = post(bernoulli, "/encode", by_hand(header(4, 4), data))

    assert response.status_code == 200


def test_pixels_are_limited_by_a_setting(checkpoints: Path) -> None:
    """The limit is on all images of a request together, as sent and as decoded."""
    with Served(checkpoints / "bernoulli", max_image_pixels=100) as served:
        within = post(served, "/encode?resize=true", png(np.zeros((10, 10))))
        above = post(served, "/encode?resize=true", png(np.zeros((10, 11))))
        six = served.post("/encode", {"x_png": [url_of(png(GRAY))] * 6})
        seven = served.post("/encode", {"x_png": [url_of(png(GRAY))] * 7})
        two = served.post(
            "/encode",
            {"x_png": [url_of(png(np.zeros((8, 8))))] * 2, "resize": True},
        )

    assert within.status_code == six.status_code == 200
    for response in (above, seven, two):
        assert "at most 100 pixels" in assert_problem(response, 413)["detail"]


def test_an_image_may_be_in_json(bernoulli: Served) -> None:
    """`x_png` is a data URL or a list of them; its slashes may be escaped."""
    jpeg = saved(Image.fromarray(GRAY), "JPEG")
    other = np.asarray(Image.open(io.BytesIO(jpeg)))
    both = values(GRAY) + values(other)

    one = bernoulli.post("/encode", {"x_png": url_of(png(GRAY))})
    two = bernoulli.post(
        "/encode", {"x_png": [url_of(png(GRAY)), url_of(jpeg, "jpeg")]}
    )
    escaped = bernoulli.post_raw(
        "/elbo?n_samples=2",
        b'{"seed": 1, "binarize": "sample", "x_png": ["%b"]}'
        % url_of(png(GRAY)).replace("/", "\\/").encode(),
    )

    assert one.content == bernoulli.post("/encode", {"x": values(GRAY)}).content
    assert two.content == bernoulli.post("/encode", {"x": both}).content
    asked = {"x": values(GRAY), "seed": 1, "n_samples": 2, "binarize": "sample"}
    assert escaped.content == bernoulli.post("/elbo", asked).content


URL = url_of(png(GRAY))
BAD_X_PNG = {
    "null": ({"x_png": None}, "/x_png"),
    "number": ({"x_png": [URL, 1]}, "/x_png/1"),
    "object": ({"x_png": {"a": 1}}, "/x_png"),
    "nested": ({"x_png": [[URL]]}, "/x_png/0"),
    "none": ({"x_png": []}, "/x_png"),
    "no data URL": ({"x_png": [URL] * 3 + ["cat.png"]}, "/x_png/3"),
    "GIF": ({"x_png": [URL, URL.replace("png", "gif")]}, "/x_png/1"),
    "bare": ({"x_png": URL.split(",")[1]}, "/x_png"),
    "another kind": ({"x_png": [URL, URL.replace("png", "jpeg")]}, "/x_png/1"),
    "base64": ({"x_png": [URL, URL.replace("iVBOR", "iV*OR")]}, "/x_png/1"),
    "padding": ({"x_png": URL + "="}, "/x_png"),
    "text": ({"x_png": [URL, "data:image/png;base64,aGVsbG8="]}, "/x_png/1"),
    "size": ({"x_png": [URL, url_of(png(COLORS[..., 0]))]}, "/x_png/1"),
    "both": ({"x": [[0] * 16], "x_png": URL}, "/x_png"),
    "both, the other first": ({"x_png": [URL], "x": [[0] * 16]}, "/x_png"),
    "both, much": ({"x": [[0.123456789] * 16] * 200, "x_png": [URL] * 99}, "/x_png"),
    "unknown": ({"x_png": URL, "columns": 2}, "/columns"),
    "resize": ({"x_png": URL, "resize": "true"}, "/resize"),
    "resize of numbers": ({"x": [[0] * 16], "resize": True}, "/resize"),
}


@pytest.mark.parametrize("name", BAD_X_PNG)
def test_faults_of_images_in_json_are_pointed_at(bernoulli: Served, name: str) -> None:
    """The pointer is that of the image at fault."""
    document, pointer = BAD_X_PNG[name]

    problem = assert_problem(bernoulli.post("/encode", document), 422)

    assert problem["errors"][0]["pointer"] == pointer


def test_the_gray_image_of_a_list_is_pointed_at(bernoulli: Served) -> None:
    """What `/elbo` refuses is named by its image, as the client sent no row."""
    black = url_of(png(np.zeros((4, 4))))

    problem = assert_problem(bernoulli.post("/elbo", {"x_png": [black, URL]}), 422)

    assert problem["errors"][0]["pointer"] == "/x_png/1"


@pytest.mark.parametrize(
    "text", ['{"x_png": "%s", "x_png": "%s"}', '{"x_png": "%s" "%s"}', '["x_png%s%s"']
)
def test_json_with_images_is_read_strictly(bernoulli: Served, text: str) -> None:
    """Keys given twice and broken JSON are refused."""
    body = (text % (URL, URL)).encode()

    assert_problem(bernoulli.post_raw("/encode", body), 422)


def test_json_with_images_has_a_length_of_its_own(bernoulli: Served) -> None:
    """Long ones are asked to come as they are."""
    body = b'{"x_png": "%b"}' % (b"A" * (1 << 20))

    problem = assert_problem(bernoulli.post_raw("/encode", body), 413)

    assert "1048576 bytes" in problem["detail"]


def test_images_are_rows_to_the_limit_of_rows(checkpoints: Path) -> None:
    """More images than rows may be are a 413."""
    with Served(checkpoints / "bernoulli", max_rows=2) as served:
        two = served.post("/encode", {"x_png": [URL] * 2})
        three = served.post("/encode", {"x_png": [URL] * 3})

    assert two.status_code == 200
    assert "at most 2 rows" in assert_problem(three, 413)["detail"]


@pytest.mark.parametrize("name", ["gaussian", "conv"])
def test_a_model_without_images_says_so(
    name: str, request: pytest.FixtureRequest
) -> None:
    """Data of shape (5,) or (8, 8, 2) are not images: 415 with a sentence."""
    served: Served = request.getfixturevalue(name)

    refused = post(served, "/encode", png(GRAY))
    in_json = served.post("/encode", {"x_png": URL})

    assert "are not images" in assert_problem(refused, 415)["detail"]
    assert "image/png" not in refused.headers["accept"]
    (fault,) = assert_problem(in_json, 422)["errors"]
    assert fault["pointer"] == "/x_png"
    assert "are not images" in fault["detail"]
    assert "image/png" not in str(served.get("/model").json()["media_types"])


def test_a_gaussian_model_has_images_if_training_divided(tmp_path: Path) -> None:
    """Its values run from 0 to 1 then; values in other units are not pixels."""
    shades = image_model(tmp_path / "shades", "gaussian", (4, 4))
    units = image_model(tmp_path / "units", "gaussian", (4, 4), divided_by=1.0)

    with Served(shades) as served:
        image = post(served, "/encode", png(GRAY))
        numbers = served.post("/encode", {"x": values(GRAY)})
    with Served(units) as served:
        refused = post(served, "/encode", png(GRAY))

    assert image.content == numbers.content
    assert "not known to be in [0, 1]" in assert_problem(refused, 415)["detail"]


def test_one_channel_is_gray(tmp_path: Path) -> None:
    """(H, W, 1) is an image like (H, W)."""
    path = image_model(tmp_path / "model", "continuous_bernoulli", (4, 4, 1))

    with Served(path) as served:
        image = post(served, "/encode", png(GRAY))
        numbers = served.post("/encode", {"x": values(GRAY[..., None])})

    assert image.status_code == 200
    assert image.content == numbers.content


@pytest.mark.slow("decodes many images")
def test_large_images_are_decoded_beside_the_event_loop(tmp_path: Path) -> None:
    """An image above the size for the event loop has the same answer."""
    pixels = RNG.integers(0, 256, (140, 150), dtype=np.uint8)
    path = image_model(tmp_path / "model", "continuous_bernoulli", (140, 150))

    with Served(path) as served:
        image = post(served, "/encode", png(pixels))
        numbers = served.post("/encode", {"x": values(pixels)})

    assert image.status_code == 200
    assert image.content == numbers.content
