"""What `/elbo` answers, against the model itself."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load

from app.compute import operations
from model.elbo import elbo
from model.noise import Stream, standard_normal, uniform
from tests.app import linear_gaussian
from tests.app.served import Served
from tests.tiny import save_tiny, tiny_config, tiny_vae


def test_elbo_answers_the_bound_and_its_terms(gaussian: Served) -> None:
    """The ELBO equals the model's, with the noise of the seed in row order."""
    x = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    request = {"x": x.tolist(), "n_samples": 4, "seed": 11}

    answer = gaussian.post("/elbo", request).json()

    eps = standard_normal((3, 4, 3), seed=11, stream=Stream.LATENT).swapaxes(0, 1)
    vae = gaussian.checkpoint.vae
    wanted = elbo(
        vae,
        torch.from_numpy(vae.in_model_units(x)),
        eps=torch.from_numpy(np.ascontiguousarray(eps)),
    )
    bound = wanted.bound.double() + vae.log_jacobian
    np.testing.assert_allclose(answer["elbo"], bound, rtol=1e-4)
    log_likelihood = wanted.log_likelihood.double() + vae.log_jacobian
    np.testing.assert_allclose(answer["log_likelihood"], log_likelihood, rtol=1e-4)
    np.testing.assert_allclose(answer["kl"], wanted.kl, rtol=1e-4)
    assert wanted.kl_per_dim is not None
    np.testing.assert_allclose(answer["kl_per_dim"], wanted.kl_per_dim, rtol=1e-4)
    assert answer["n_samples"] == 4
    assert answer["seed"] == 11
    assert answer["binarize"] is None
    assert answer["units"] == "nats"


@pytest.mark.slow("computes many estimates")
def test_the_error_of_the_elbo_is_calibrated(tmp_path: Path) -> None:
    """
    Under 250 seeds' worth of noise for each of 4 rows, RMS(error / SE) is near 1.

    The ELBO of a linear-Gaussian model has a closed form.
    """
    model = linear_gaussian.save(tmp_path / "linear", 2)
    x = model.x.repeat(250, 1).tolist()  # the noise of a row depends on its position

    with Served(tmp_path / "linear") as served:
        answer = served.post("/elbo", {"x": x, "n_samples": 128, "seed": 1}).json()

    wanted = (model.log_likelihood - model.kl).repeat(250).numpy()
    ratio = (np.array(answer["elbo"]) - wanted) / np.array(
        answer["elbo_standard_error"]
    )
    assert 0.9 < np.sqrt(np.mean(ratio**2)) < 1.1
    for row in range(4):
        assert 0.8 < np.sqrt(np.mean(ratio[row::4] ** 2)) < 1.2


def test_the_error_of_the_elbo_is_the_spread_of_its_draws(gaussian: Served) -> None:
    """With K draws it is sd / sqrt(K) of K bounds of one draw, beyond a tile too."""
    x = np.random.default_rng(0).standard_normal((2, 5)).astype(np.float32)
    request = {"x": x.tolist(), "n_samples": 150, "seed": 11}

    answer = gaussian.post("/elbo", request).json()

    eps = standard_normal((2, 150, 3), seed=11, stream=Stream.LATENT)
    vae = gaussian.checkpoint.vae
    data = torch.from_numpy(vae.in_model_units(x))
    each = [
        elbo(vae, data, eps=torch.from_numpy(np.array(eps[None, :, k]))).bound.numpy()
        for k in range(150)
    ]
    wanted = np.std(each, axis=0, ddof=1) / np.sqrt(150)
    np.testing.assert_allclose(answer["elbo_standard_error"], wanted, rtol=1e-3)


def test_one_draw_has_no_error(gaussian: Served) -> None:
    """Null in JSON; not there in safetensors, so that the client returns None."""
    headers = {"accept": "application/vnd.safetensors"}
    body = {"x": [[0.5, -1, 2, 0, 3]], "seed": 1}

    answer = gaussian.post("/elbo", body).json()
    tensors = load(gaussian.post("/elbo", body, headers=headers).content)

    assert answer["elbo_standard_error"] is None
    assert "elbo_standard_error" not in tensors
    assert "elbo_standard_error" in load(
        gaussian.post("/elbo?n_samples=2", body, headers=headers).content
    )


def test_binarize_threshold_is_the_elbo_of_binary_data(bernoulli: Served) -> None:
    """Gray values at a threshold of 1/2 are scored as zeros and ones."""
    gray = np.random.default_rng(0).random((2, 16))
    binary = (gray >= 0.5).astype(int)

    asked = {"x": gray.tolist(), "seed": 1, "binarize": "threshold"}
    thresholded = bernoulli.post("/elbo", asked).json()
    direct = bernoulli.post("/elbo", {"x": binary.tolist(), "seed": 1}).json()

    assert thresholded.pop("binarize") == "threshold"
    assert direct.pop("binarize") is None
    assert thresholded == direct


def test_binarize_sample_uses_the_seed(bernoulli: Served) -> None:
    """Gray values drawn to binary ones are scored as the draw of the seed's stream."""
    gray = np.random.default_rng(0).random((2, 16)).astype(np.float32)
    drawn = uniform((2, 16), seed=5, stream=Stream.BINARIZATION) < gray

    asked = {"x": gray.tolist(), "seed": 5, "binarize": "sample"}
    sampled = bernoulli.post("/elbo", asked).json()
    direct = bernoulli.post("/elbo", {"x": drawn.astype(int).tolist(), "seed": 5})

    assert sampled["elbo"] == direct.json()["elbo"]


@pytest.mark.parametrize("first", [0, 5])
def test_rows_are_scored_a_few_at_a_time(
    bernoulli: Served, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every bit is that of all rows at once, whatever the memory for noise allows."""
    assert_equal_in_parts(bernoulli, first, monkeypatch)


def assert_equal_in_parts(
    served: Served, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Score nine rows of 16 values at once, and three rows or fewer at a time."""
    x = np.random.default_rng(0).random((9, 16)) < 0.5
    asked = {"x": x.astype(int).tolist(), "seed": 3, "n_samples": 4, "first": first}
    headers = {"accept": "application/vnd.safetensors"}
    whole = served.post("/elbo", asked, headers=headers).content
    monkeypatch.setattr(operations, "_NOISE_VALUES", 40)
    assert served.post("/elbo", asked, headers=headers).content == whole


@pytest.mark.slow("draws the noise of long requests")
@pytest.mark.parametrize(("n_requests", "n_samples"), [(1, 10_000), (12, 1_000)])
def test_the_noise_of_long_requests_is_not_in_memory_at_once(
    tmp_path: Path, n_requests: int, n_samples: int
) -> None:
    """Of one, 200,000 draws of 64 values would be 51 MB; of all together, 61 MB."""
    config = tiny_config("bernoulli", data_shape=(4, 4), latent_dim=64)
    asked = {"x": [[0] * 16] * 20, "n_samples": n_samples}
    with Served(save_tiny(tmp_path / "wide", tiny_vae(config))) as served:
        served.post("/elbo", {**asked, "n_samples": 10})
        tracemalloc.start()
        answers = served.together([("POST", "/elbo", {"json": asked})] * n_requests)
        peak = tracemalloc.get_traced_memory()[1] >> 20
        tracemalloc.stop()

    assert {answer.status_code for answer in answers} == {200}
    assert peak < 30, f"{peak} MiB"
