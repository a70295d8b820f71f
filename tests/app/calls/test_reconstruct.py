"""`/reconstruct`: what it answers is `/encode` followed by `/decode`."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load
from safetensors.numpy import save as safetensors

from model.noise import Stream, standard_normal
from tests.app.served import Served, assert_problem

X = (np.random.default_rng(3).random((4, 16)) < 0.5).astype(np.float32)
SAFETENSORS = {"content-type": "application/vnd.safetensors"}


def encoded(served: Served, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return mu and log_var of `/encode`."""
    answer = served.post("/encode", {"x": x.tolist()}).json()
    return np.asarray(answer["mu"], np.float32), np.asarray(
        answer["log_var"], np.float32
    )


def decoded(served: Served, z: NDArray[Any]) -> NDArray[Any]:
    """Return the mean of `/decode`."""
    answer = served.post("/decode", {"z": z.tolist()}).json()
    return np.asarray(answer["mean"], np.float32)


def test_the_mean_of_q_is_decoded(bernoulli: Served) -> None:
    """Without draws the answer is that of both calls, to the bit, and has no seed."""
    mu, _ = encoded(bernoulli, X)

    answer = bernoulli.post("/reconstruct", {"x": X.tolist()})

    assert answer.json().keys() == {"x"}
    assert "vae-seed" not in answer.headers
    np.testing.assert_array_equal(
        np.float32(answer.json()["x"]), decoded(bernoulli, mu)
    )


def test_draws_of_q_are_decoded(bernoulli: Served) -> None:
    """Z = mu + sigma eps, with eps of a stream of its own."""
    mu, log_var = encoded(bernoulli, X)
    eps = standard_normal((4, 5, 3), seed=9, stream=Stream.RECONSTRUCTION)
    z = mu[:, None] + np.exp(0.5 * log_var)[:, None] * eps

    answer = bernoulli.post(
        "/reconstruct", {"x": X.tolist(), "n_samples": 5, "seed": 9}
    ).json()

    assert answer["seed"] == 9
    assert np.shape(answer["x"]) == (4, 5, 4, 4)
    wanted = decoded(bernoulli, z.reshape(20, 3)).reshape(4, 5, 4, 4)
    np.testing.assert_allclose(answer["x"], wanted, rtol=1e-6)


def test_a_seed_that_the_server_draws_repeats_the_answer(bernoulli: Served) -> None:
    """The seed of the response gives the response again."""
    body = {"x": X.tolist(), "n_samples": 2}
    first = bernoulli.post("/reconstruct", body)

    again = bernoulli.post("/reconstruct", {**body, "seed": first.json()["seed"]})

    assert again.content == first.content
    assert first.headers["vae-seed"] == str(first.json()["seed"])


def test_every_format_has_the_same_values(bernoulli: Served) -> None:
    """Safetensors in, safetensors and npy out."""
    answer = bernoulli.post("/reconstruct", {"x": X.tolist()}).json()
    wanted = np.asarray(answer["x"], np.float32)
    body = safetensors({"x": X})

    for accept in ("application/vnd.safetensors", "application/x-npy"):
        file = bernoulli.post_raw(
            "/reconstruct", body, {**SAFETENSORS, "accept": accept}
        )
        is_npy = accept.endswith("npy")
        found = np.load(io.BytesIO(file.content)) if is_npy else load(file.content)["x"]

        np.testing.assert_array_equal(found, wanted)


def test_an_image_comes_back_as_an_image(bernoulli: Served) -> None:
    """PNG in, PNG out: the reconstruction beside nothing else; draws as a grid."""
    file = io.BytesIO()
    Image.fromarray((X[0].reshape(4, 4) * 255).astype(np.uint8)).save(file, "PNG")
    wanted = bernoulli.post("/reconstruct", {"x": X[:1].tolist()}).json()["x"][0]
    headers = {"content-type": "image/png", "accept": "image/png"}

    answer = bernoulli.post_raw("/reconstruct", file.getvalue(), headers)
    grid = bernoulli.post_raw(
        "/reconstruct?n_samples=4&columns=2&scale=3", file.getvalue(), headers
    )

    pixels = np.asarray(Image.open(io.BytesIO(answer.content)))
    np.testing.assert_array_equal(pixels, np.rint(np.float32(wanted) * 255))
    assert Image.open(io.BytesIO(grid.content)).size == (24, 24)


@pytest.mark.parametrize(
    ("options", "status", "detail"),
    [
        ({"n_samples": -1}, 422, "greater than or equal to 0"),
        ({"n_samples": 5000}, 413, "at most 16384 rows, got 4 with 5000 draws each"),
        ({"columns": 2}, 422, "only for a response in image/png"),
        ({"binarize": "sample"}, 422, "unknown name"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    bernoulli: Served, options: dict[str, Any], status: int, detail: str
) -> None:
    """With what was wanted and what came."""
    answer = bernoulli.post("/reconstruct", {"x": X.tolist(), **options})

    assert detail in assert_problem(answer, status)["detail"]
