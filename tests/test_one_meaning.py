"""The same file or array is the same x in training, evaluation, service and client."""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save

from model import data
from model.evaluate import rows
from model.evaluate.options import EvaluateOptions
from model.files import ReadOptions
from tests.app.pictures import image_model, png16, saved
from tests.app.served import Served, assert_problem
from vae_client import arguments
from vae_client.http_messages import HttpRequest

DRAW = np.random.default_rng(8)
N, SIDE = 30, 4
GRAY = DRAW.integers(2, 254, (N, SIDE, SIDE), dtype=np.uint8)
COLORS = DRAW.integers(2, 254, (N, SIDE, SIDE, 3), dtype=np.uint8)
BINARY = GRAY > 128
UNIT = (GRAY / 255).astype(np.float32)
JSON_CALLS = ("/encode", "/reconstruct", "/elbo", "/loglik", "/refine", "/gap")

# What is stored, and the x that it means to a model of pictures.
ARRAYS: dict[str, tuple[NDArray[Any], NDArray[np.float32]]] = {
    "uint8": (GRAY, UNIT),
    "uint16": (GRAY.astype(np.uint16) * 257, UNIT),
    "big-endian uint16": (GRAY.astype(">u2") * np.uint16(257), UNIT),
    "bool": (BINARY, BINARY.astype(np.float32)),
    "float16": (UNIT.astype(np.float16), UNIT.astype(np.float16).astype(np.float32)),
    "float32": (UNIT, UNIT),
    "float64": (GRAY / 255, UNIT),
    "big-endian float32": (UNIT.astype(">f4"), UNIT),
    "big-endian float64": ((GRAY / 255).astype(">f8"), UNIT),
    "Fortran order": (np.asfortranarray(GRAY), UNIT),
    "Fortran float64": (np.asfortranarray(GRAY / 255), UNIT),
}


@pytest.fixture(scope="module")
def gray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a continuous Bernoulli of gray pictures."""
    root = tmp_path_factory.mktemp("gray")
    path = image_model(root / "model", "continuous_bernoulli", (SIDE, SIDE))
    with Served(path) as served:
        yield served


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a model that was trained with --mode gray."""
    root, shape = tmp_path_factory.mktemp("turned"), (SIDE, SIDE)
    path = image_model(root / "m", "continuous_bernoulli", shape, turned_gray=True)
    with Served(path) as served:
        yield served


@pytest.fixture(scope="module")
def color(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a Gaussian of color pictures, standardized."""
    root = tmp_path_factory.mktemp("color")
    path = image_model(root / "model", "gaussian", (SIDE, SIDE, 3))
    with Served(path) as served:
        yield served


def npy(values: NDArray[Any]) -> bytes:
    """Return an array as a file, in its byte order and its order in memory."""
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def mu_of(served: Served, body: bytes, kind: str) -> list[list[float]]:
    """Return the codes of a body."""
    response = served.post_raw("/encode", body, {"content-type": kind})
    assert response.status_code == 200, response.text
    mu: list[list[float]] = response.json()["mu"]
    return mu


def trained_x(path: Path, reading: ReadOptions | None = None) -> NDArray[Any]:
    """Return the rows that training reads from a file, in the file's order."""
    dataset = data.load(str(path), reading=reading or ReadOptions())
    x = np.concatenate([split.x for split in dataset.splits])
    order = np.concatenate([split.rows for split in dataset.splits])
    assert dataset.divided_by in (1, 255, 65_535)
    return x[np.argsort(order)]


def evaluated_x(path: Path, served: Served) -> NDArray[np.float32]:
    """Return the training rows that evaluation reads from a file."""
    options = EvaluateOptions(Path("model"), str(path), split="train")
    return rows.read(options, served.checkpoint.vae).x


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_has_one_meaning(
    gray: Served, tmp_path: Path, name: str, *, flat: bool
) -> None:
    """To the bit, in npy, in safetensors, from the client, and in files."""
    stored, wanted = ARRAYS[name]
    if flat:
        stored = stored.reshape(N, -1, order="A" if stored.flags.c_contiguous else "C")
    path = tmp_path / "x.npy"
    np.save(path, stored)
    codes = mu_of(gray, npy(wanted), "application/x-npy")

    assert mu_of(gray, npy(stored), "application/x-npy") == codes
    sent = (("x", arguments.array("x", stored)),)
    body = HttpRequest("POST", "/encode", tensors=sent).body()
    assert mu_of(gray, body, "application/vnd.safetensors") == codes
    native = np.ascontiguousarray(stored.astype(stored.dtype.newbyteorder("=")))
    tensors = save({"x": native})
    assert mu_of(gray, tensors, "application/vnd.safetensors") == codes
    evaluated = evaluated_x(path, gray)
    train = data.load(str(path)).train.rows
    np.testing.assert_array_equal(evaluated, wanted.reshape(N, -1)[train])
    if not flat:  # a flat array of a file is a table, which has no pixels
        x = trained_x(path).astype(np.float32)
        np.testing.assert_array_equal(x, wanted.reshape(N, -1))


def test_bfloat16_is_read(gray: Served) -> None:
    """Its bits are the upper half of a float32."""
    upper = (UNIT.view(np.uint32) >> 16).astype(np.uint16)
    text = b'{"x":{"dtype":"BF16","shape":[30,4,4],"data_offsets":[0,960]}}'
    body = len(text).to_bytes(8, "little") + text + upper.tobytes()

    wanted = (upper.astype(np.uint32) << 16).view(np.float32)
    codes = mu_of(gray, npy(wanted), "application/x-npy")
    assert mu_of(gray, body, "application/vnd.safetensors") == codes


def test_channels_first_are_the_same_pictures(tmp_path: Path, color: Served) -> None:
    """In files; a request has the shape of the model's data."""
    x = []
    for name, stored in (("last", COLORS), ("first", COLORS.transpose(0, 3, 1, 2))):
        np.save(tmp_path / f"{name}.npy", stored)
        x.append(trained_x(tmp_path / f"{name}.npy"))
    np.testing.assert_array_equal(x[0], x[1])

    body = npy(COLORS.transpose(0, 3, 1, 2))
    refused = color.post_raw("/encode", body, {"content-type": "application/x-npy"})
    assert "[N, 48] or [N, 4, 4, 3]" in assert_problem(refused, 422)["detail"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.int8])
def test_integers_of_only_0_and_1_are_refused_everywhere(
    gray: Served, tmp_path: Path, dtype: type[np.generic]
) -> None:
    """With both readings; training refuses those that it would divide."""
    stored = BINARY.astype(dtype)
    path = tmp_path / "x.npy"
    np.save(path, stored)
    words = "with only 0 and 1 has two readings"

    for body, kind in (
        (npy(stored), "application/x-npy"),
        (save({"x": stored}), "application/vnd.safetensors"),
    ):
        refused = gray.post_raw("/encode", body, {"content-type": kind})
        problem = assert_problem(refused, 422)
        assert words in problem["detail"]
        assert problem["errors"][0]["pointer"] == "/x"
    with pytest.raises(data.DataError, match=words):
        evaluated_x(path, gray)
    if dtype in (np.uint8, np.uint16):
        with pytest.raises(data.DataError, match=f"x.npy: {dtype.__name__} {words}"):
            data.load(str(path))


OUTSIDE = {
    "-5": (-5.0, "got -5"),
    "255": (255.0, "looks like 0-255: send uint8, or divide by 255"),
    "1e6": (1e6, "got 1000000"),
    "slightly": (1.001, "got 1.001"),
}


@pytest.mark.parametrize("value", OUTSIDE)
def test_values_outside_the_range_are_refused_by_every_call(
    gray: Served, value: str
) -> None:
    """With value, place and likely cause, in JSON, npy and safetensors."""
    number, words = OUTSIDE[value]
    x = UNIT[:2].astype(np.float64)
    x[1, 2, 3] = number
    bodies = [(url, {"x": x.tolist()}) for url in JSON_CALLS]
    bodies += [
        ("/interpolate", {"x": x.tolist()}),
        ("/traverse", {"x": x[1:].tolist()}),
    ]
    bodies += [("/impute", {"x": x.tolist(), "mask": np.ones((2, 4, 4)).tolist()})]

    for url, document in bodies:
        problem = assert_problem(gray.post(url, document), 422)
        row = 0 if url == "/traverse" else 1
        assert problem["errors"][0]["pointer"] == f"/x/{row}/2/3", url
        assert "expected a value in [0, 1]" in problem["detail"]
        assert words in problem["detail"]
    for body, kind in (
        (npy(x), "application/x-npy"),
        (save({"x": x}), "application/vnd.safetensors"),
    ):
        for url in ("/encode", "/elbo", "/reconstruct"):
            refused = gray.post_raw(url, body, {"content-type": kind})
            assert words in assert_problem(refused, 422)["detail"]


def test_a_gaussian_of_pictures_refuses_bytes_but_not_its_own_draws(
    color: Served,
) -> None:
    """Its draws are somewhat outside [0, 1]; 0 to 255 are not."""
    near = np.full((1, SIDE, SIDE, 3), -0.4).tolist()
    far = COLORS[:1].astype(float).tolist()

    assert color.post("/elbo", {"x": near}).status_code == 200
    for url in ("/encode", "/elbo", "/loglik"):
        problem = assert_problem(color.post(url, {"x": far}), 422)
        assert "expected a value in [-1, 2]" in problem["detail"]
        assert "send uint8, or divide by 255" in problem["detail"]
    assert color.get("/model").json()["value_range"] == [-1, 2]


DEEP = (COLORS.astype(np.uint16) << 8) + 77
OPAQUE = np.full((SIDE, SIDE, 1), 65_535, np.uint16)


def color_files() -> dict[str, bytes]:
    """Return a color picture in every mode that both read, PNG or JPEG."""
    image = Image.fromarray(COLORS[0])
    return {
        "RGB.png": saved(image),
        "RGBA.png": saved(image.convert("RGBA")),
        "palette.png": saved(image.quantize(12)),
        "RGB of 16 bits.png": png16(DEEP[0], 2),
        "RGBA of 16 bits.png": png16(np.dstack([DEEP[0], OPAQUE]), 6),
        "photo.jpg": saved(image, "JPEG"),
        "CMYK.jpg": saved(image.convert("CMYK"), "JPEG"),
    }


def gray_files() -> dict[str, bytes]:
    """Return a gray picture in every mode that both read, PNG or JPEG."""
    image, deep = Image.fromarray(GRAY[0]), (GRAY[0].astype(np.uint16) << 4) + 5
    return {
        "L.png": saved(image),
        "LA.png": saved(image.convert("LA")),
        "bits.png": saved(image.convert("1")),
        "palette.png": saved(image.quantize(8)),
        "L of 16 bits.png": png16(deep, 0),
        "LA of 16 bits.png": png16(np.dstack([deep, OPAQUE]), 4),
        "photo.jpg": saved(image, "JPEG"),
    }


@pytest.mark.parametrize(
    ("kind", "name"),
    [*(("color", n) for n in color_files()), *(("gray", n) for n in gray_files())],
)
def test_a_picture_has_one_meaning(
    kind: str, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """In a folder to train on, in a folder to measure on, and in a request."""
    served: Served = request.getfixturevalue(kind)
    content = (color_files() if kind == "color" else gray_files())[name]
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        (folder / f"{i} {name}").write_bytes(content)

    x = trained_x(folder)
    evaluated = evaluated_x(folder, served)
    media_type = "image/jpeg" if name.endswith("jpg") else "image/png"
    codes = mu_of(served, content, media_type)

    assert 0 <= x.min() < x.max() <= 1
    assert mu_of(served, npy(x[:1]), "application/x-npy") == codes
    u = served.checkpoint.vae.in_model_units(x[:1])
    np.testing.assert_array_equal(evaluated[:1], u)


def turned_files() -> dict[str, bytes]:
    """Return color pictures, transparent and turned ones too, and a gray one."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        **color_files(),
        "turned.jpg": saved(Image.fromarray(COLORS[1]), "JPEG", exif=exif),
        "gray.png": saved(Image.fromarray(GRAY[0])),
    }


@pytest.mark.parametrize("name", turned_files())
def test_pictures_that_training_turned_gray_are_turned_gray_everywhere(
    turned: Served, gray: Served, name: str, tmp_path: Path
) -> None:
    """A model that was trained without --mode gray refuses them."""
    content = turned_files()[name]
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        (folder / f"{i} {name}").write_bytes(content)
    media_type = "image/jpeg" if name.endswith("jpg") else "image/png"

    x = trained_x(folder, ReadOptions(mode="gray"))
    evaluated = evaluated_x(folder, turned)
    codes = mu_of(turned, content, media_type)

    assert mu_of(turned, npy(x[:1]), "application/x-npy") == codes
    np.testing.assert_array_equal(evaluated[:1], x[:1])
    if name != "gray.png":
        refused = gray.post_raw("/encode", content, {"content-type": media_type})
        assert "convert it to gray first" in assert_problem(refused, 422)["detail"]


def test_data_of_12_bits_keep_their_levels(tmp_path: Path) -> None:
    """Taken as 8 bits, 4096 of them would be 16."""
    levels = np.arange(16 * 16, dtype=np.uint16).reshape(16, 16) * 16 + 5
    for kind, pixels in ((0, levels), (2, np.dstack([levels] * 3))):
        folder = tmp_path / str(kind)
        folder.mkdir()
        for i in range(5):
            (folder / f"{i}.png").write_bytes(png16(pixels, kind))

        x = trained_x(folder)

        assert len(np.unique(x)) == 256
        wanted = (pixels / 65_535).astype(np.float32).reshape(1, -1)
        np.testing.assert_array_equal(x[:1], wanted)


def test_the_picture_writer_of_these_tests_is_right() -> None:
    """Another decoder reads the same bits from its file."""
    file = png16(DEEP[0], 2)
    start = file.index(b"IDAT") + 4
    length = int.from_bytes(file[start - 8 : start - 4], "big")
    raw = zlib.decompress(file[start : start + length])
    lines = np.frombuffer(raw, np.uint8).reshape(SIDE, -1)[:, 1:]
    pixels = np.ascontiguousarray(lines).view(">u2").reshape(SIDE, SIDE, 3)

    np.testing.assert_array_equal(pixels, DEEP[0])
