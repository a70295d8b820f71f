"""Images out: a grid of pixels by hand, for browsers, in the same bytes every time."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.errors import NotAcceptableError
from app.wire.images import png
from app.wire.images.layout import Grid, image_layout, why_no_images
from app.wire.negotiation import JSON, NPY, PNG, SAFETENSORS, response_format
from tests.app.pictures import image_model, pixels_of
from tests.app.served import Served, assert_problem

AS_PNG = {"accept": "image/png"}


@pytest.fixture(scope="module")
def color(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a continuous Bernoulli with RGB images of 5 x 4."""
    directory = tmp_path_factory.mktemp("color") / "model"
    with Served(image_model(directory, "continuous_bernoulli", (4, 5, 3))) as served:
        yield served


def array(numbers: object) -> NDArray[np.float32]:
    """Return JSON's numbers in the width of the model's."""
    return np.array(numbers, np.float32)


def by_hand(x: NDArray[np.float32], columns: int, scale: int = 1) -> NDArray[np.uint8]:
    """Lay out images, (N, H, W, ...), pixel by pixel."""
    n, height, width = x.shape[:3]
    rows = -(-n // columns)
    picture = np.zeros(
        (rows * height * scale, columns * width * scale, *x.shape[3:]), np.uint8
    )
    for i in range(n):
        top, left = i // columns * height, i % columns * width
        for r in range(height * scale):
            for c in range(width * scale):
                value = x[i, r // scale, c // scale]
                shade = np.round(255 * np.clip(value.astype(float), 0, 1))
                picture[top * scale + r, left * scale + c] = shade
    return picture


@pytest.mark.parametrize(
    ("asked", "layout", "columns", "scale"),
    [
        ("n=1", "", 1, 1),
        ("n=5", "", 3, 1),
        ("n=9", "&scale=2", 3, 2),
        ("n=7", "&columns=2", 2, 1),
        ("n=3", "&columns=99&scale=5", 3, 5),
        ("n=4&draw=sample", "&columns=1", 1, 1),
    ],
)
def test_samples_are_shown_in_a_grid(
    bernoulli: Served, asked: str, layout: str, columns: int, scale: int
) -> None:
    """They are those of JSON, row by row, near a square; what is left over is black."""
    x = array(bernoulli.get(f"/sample?seed=7&{asked}").json()["x"])

    response = bernoulli.get(f"/sample?seed=7&{asked}{layout}", headers=AS_PNG)

    assert response.headers["content-type"] == "image/png"
    assert response.headers["vae-seed"] == "7"
    assert response.headers["vary"] == "accept"
    wanted = by_hand(x, columns, scale)
    np.testing.assert_array_equal(pixels_of(response.content), wanted)


def test_a_picture_of_colors(color: Served) -> None:
    """RGB stays RGB; wide images stand in fewer columns."""
    x = array(color.get("/sample?n=10&seed=1").json()["x"])

    response = color.get("/sample?n=10&seed=1&scale=3", headers=AS_PNG)

    np.testing.assert_array_equal(pixels_of(response.content), by_hand(x, 3, 3))


def test_decoded_means_are_shown(bernoulli: Served, tmp_path: Path) -> None:
    """Of a Gaussian, too, of which the mean alone is a picture; values are clipped."""
    z = [[3.0, -2.0, 5.0], [0.0, 0.0, 0.0]]
    mean = bernoulli.post("/decode", {"z": z}).json()["mean"]
    shown = bernoulli.post(
        "/decode?scale=2", {"z": z, "columns": 1}, headers={"accept": "image/*"}
    )

    np.testing.assert_array_equal(pixels_of(shown.content), by_hand(array(mean), 1, 2))
    with Served(image_model(tmp_path / "model", "gaussian", (4, 4))) as served:
        mean = array(served.post("/decode", {"z": z}).json()["mean"])
        shown = served.post("/decode", {"z": z}, headers=AS_PNG)

    assert mean.min() < 0
    assert mean.max() > 1
    np.testing.assert_array_equal(pixels_of(shown.content), by_hand(mean, 2))


def test_a_picture_sent_back_is_the_same(bernoulli: Served) -> None:
    """What `/sample` draws in PNG is what `/elbo` reads: all in {0, 1}."""
    x = bernoulli.get("/sample?seed=3&draw=sample").json()["x"]
    picture = bernoulli.get("/sample?seed=3&draw=sample", headers=AS_PNG).content

    headers = {"content-type": "image/png"}
    response = bernoulli.post_raw("/elbo?seed=1", picture, headers)

    assert response.content == bernoulli.post("/elbo", {"x": x, "seed": 1}).content


def test_every_pixel_survives_the_way_out_and_in() -> None:
    """A pixel over 255 in float32 becomes that pixel again, for all 256."""
    shades = np.arange(256, dtype=np.uint8)
    layout = image_layout((16, 16), max_pixels=256)

    written = png.write(array(shades) / np.float32(255), layout, Grid(1, 1, 1))

    np.testing.assert_array_equal(pixels_of(b"".join(written)).ravel(), shades)


def test_values_are_rounded_to_the_nearest_pixel_and_clipped() -> None:
    """Halfway goes to the even one, as numpy rounds; nothing wraps around."""
    values = array([[-1e30, -0.001, 0.499 / 255, 0.501 / 255, 0.5, 254.49 / 255]])
    values = np.append(values, array([[254.51 / 255, 1, 1.001, 1e30]]))
    layout = image_layout((1, 10), max_pixels=10)

    written = png.write(values, layout, Grid(1, 1, 1))

    wanted = [0, 0, 0, 1, 128, 254, 255, 255, 255, 255]
    assert pixels_of(b"".join(written)).ravel().tolist() == wanted


def test_the_same_request_has_the_same_bytes(bernoulli: Served) -> None:
    """Twice, together with others, and to HEAD without them."""
    url = "/sample?n=64&seed=7&scale=4"
    other = ("GET", "/sample?n=9&seed=8", {"headers": AS_PNG})

    first = bernoulli.get(url, headers=AS_PNG)
    again, _ = bernoulli.together([("GET", url, {"headers": AS_PNG}), other])
    head = bernoulli.request("HEAD", url, headers=AS_PNG)

    assert first.content == again.content
    assert Image.open(io.BytesIO(first.content)).size == (128, 128)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == "image/png"
    assert head.headers["content-length"] == str(len(first.content))


CHROME = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
FIREFOX = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"
SAFARI = (
    "image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,"
    "image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"
)
PAGE = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
    "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (CHROME, "image/png"),
        (FIREFOX, "image/png"),
        (SAFARI, "image/png"),
        ("image/avif,image/webp,image/png,*/*;q=0.8", "image/png"),
        ("image/avif,image/webp,*/*", "image/png"),  # Firefox 92 to 127
        ("image/webp,*/*", "image/png"),  # Firefox 65 to 91
        ("image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5", "image/png"),
        ("image/*", "image/png"),
        ("image/png", "image/png"),
        ("application/json, image/png", "application/json"),
        ("image/png;q=0.5, application/json;q=0.6", "application/json"),
        ("image/png;q=0, */*", "application/json"),
        ("image/png;q=0, image/webp, */*", "application/json"),
        ("*/*", "application/json"),  # fetch, curl
        (PAGE, "application/json"),  # the address bar of Chrome
        ("text/html, */*", "application/json"),
        ("application/*, image/webp, */*", "application/json"),
    ],
)
def test_img_gets_a_picture_and_programs_get_json(
    bernoulli: Served, accept: str, kind: str
) -> None:
    """By what browsers really send, for `<img>` and otherwise."""
    response = bernoulli.get("/sample?n=4&seed=7", headers={"accept": accept})

    assert response.status_code == 200
    assert response.headers["content-type"] == kind


def test_without_a_picture_to_give_the_order_stays() -> None:
    """A client of images is answered in JSON where `*/*` allows it."""
    formats = (JSON, SAFETENSORS, NPY)

    assert response_format(CHROME.encode(), formats) is JSON
    assert response_format(b"image/webp,*/*", formats) is JSON
    assert response_format(b"image/webp,*/*", (*formats, PNG)) is PNG
    with pytest.raises(NotAcceptableError):
        response_format(b"image/*", formats)


@pytest.mark.parametrize("name", ["gaussian", "conv"])
def test_a_model_without_images_has_none_to_show(
    name: str, request: pytest.FixtureRequest
) -> None:
    """406 with a sentence for `/sample` and `/decode`."""
    served: Served = request.getfixturevalue(name)

    sample = served.get("/sample", headers=AS_PNG)
    decode = served.post("/decode", {"z": [[0] * 3]}, headers=AS_PNG)

    for response in (sample, decode):
        assert "are not images" in assert_problem(response, 406)["detail"]
    assert served.get("/sample", headers={"accept": CHROME}).status_code == 200
    assert "image/png" not in served.get("/openapi.json").text


@pytest.mark.parametrize("url", ["/encode", "/elbo"])
def test_numbers_are_not_shown(bernoulli: Served, url: str) -> None:
    """What is no x has no picture."""
    asked = bernoulli.post(url, {"x": [[0] * 16]}, headers=AS_PNG)

    assert_problem(asked, 406)


@pytest.mark.parametrize(
    ("url", "pointer"),
    [
        ("/sample?columns=0", "/columns"),
        ("/sample?columns=two", "/columns"),
        ("/sample?columns=1.5", "/columns"),
        ("/sample?scale=0", "/scale"),
        ("/sample?scale=65", "/scale"),
        ("/sample?scale=true", "/scale"),
        ("/sample?resize=true", "/resize"),
    ],
)
def test_bad_options_of_a_picture_are_pointed_at(
    bernoulli: Served, url: str, pointer: str
) -> None:
    """They have bounds like all others."""
    problem = assert_problem(bernoulli.get(url, headers=AS_PNG), 422)

    assert problem["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("name", ["columns", "scale"])
def test_options_of_a_picture_need_a_picture(bernoulli: Served, name: str) -> None:
    """Asked for JSON they mean nothing, and that is said."""
    sample = bernoulli.get(f"/sample?{name}=2")
    decode = bernoulli.post("/decode", {"z": [[0] * 3], name: 2})

    for response in (sample, decode):
        problem = assert_problem(response, 422)
        assert "image/png" in problem["detail"]
        assert problem["errors"][0]["pointer"] == f"/{name}"


def test_pictures_are_limited_before_they_are_made(checkpoints: Path) -> None:
    """The limit counts every pixel of the picture, also those left black."""
    with Served(checkpoints / "bernoulli", max_image_pixels=1024) as served:
        within = served.get("/sample?n=64", headers=AS_PNG)
        scaled = served.get("/sample?n=16&scale=2", headers=AS_PNG)
        above = served.get("/sample?n=65&columns=64", headers=AS_PNG)
        scaled_above = served.get("/sample?n=16&scale=3", headers=AS_PNG)
        huge = served.get("/sample?n=16000&scale=64", headers=AS_PNG)
        decoded = served.post("/decode?scale=9", {"z": [[0] * 3]}, headers=AS_PNG)
        as_json = served.get("/sample?n=65")

    assert within.status_code == scaled.status_code == as_json.status_code == 200
    for response in (above, scaled_above, huge, decoded):
        assert "at most 1024 pixels" in assert_problem(response, 413)["detail"]


@pytest.mark.slow("makes large pictures")
def test_a_picture_made_in_a_thread_is_the_same(bernoulli: Served) -> None:
    """Above the size for the event loop, in pieces when it is sent."""
    x = array(bernoulli.get("/sample?n=1600&seed=4").json()["x"])

    response = bernoulli.get("/sample?n=1600&seed=4&scale=3", headers=AS_PNG)

    wanted = by_hand(x, 40)
    shown = pixels_of(response.content)
    assert shown.shape == (480, 480)
    np.testing.assert_array_equal(shown[::3, ::3], wanted)
    np.testing.assert_array_equal(shown[2::3, 1::3], wanted)


def test_the_card_names_images_for_models_of_images(bernoulli: Served) -> None:
    """`/model` and the document list what is read and written."""
    card = bernoulli.get("/model").json()

    kinds = card["media_types"]
    both = ["image/png", "image/jpeg"]
    assert kinds["encode"]["request"][-2:] == kinds["elbo"]["request"][-2:] == both
    for name in ("decode", "sample", "sampleByQuery"):
        assert kinds[name]["response"][-1] == "image/png"
    assert "image/png" not in kinds["decode"]["request"] + kinds["encode"]["response"]
    assert card["limits"]["max_image_pixels"] == 1 << 24
    schemas = bernoulli.get("/openapi.json").json()["components"]["schemas"]
    numbers, images = schemas["EncodeRequest"], schemas["EncodeXPngRequest"]
    assert numbers["required"] == ["x"]
    assert images["required"] == ["x_png"]
    assert images["properties"].keys() == {"x_png", "resize"}
    assert {"columns", "scale"} <= schemas["SampleRequest"]["properties"].keys()


@pytest.mark.parametrize(
    ("shape", "value_range", "words"),
    [
        ((8, 8), (0.0, 1.0), ""),
        ((8, 8, 3), (0.0, 1.0), ""),
        ((8, 8, 1), (0.0, 1.0), ""),
        ((64,), (0.0, 1.0), "shape [64] are not images"),
        ((8, 8, 2), (0.0, 1.0), "shape [8, 8, 2] are not images"),
        ((8, 8, 4), None, "shape [8, 8, 4] are not images"),
        ((8, 8), None, "not known to be in [0, 1]"),
        ((8, 8), (-1.0, 1.0), "not known to be in [0, 1]"),
    ],
)
def test_which_data_are_images(
    shape: tuple[int, ...],
    value_range: tuple[float, float] | None,
    words: str,
) -> None:
    """Of an image's shape, with values known to run from 0 to 1."""
    why = why_no_images(shape, value_range=value_range)

    assert words in why
    assert bool(words) == bool(why)
