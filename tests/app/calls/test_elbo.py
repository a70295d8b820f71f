"""What `/elbo` answers, against the model itself."""

import numpy as np
import torch

from model.elbo import elbo
from model.noise import Stream, standard_normal, uniform
from tests.app.served import Served


def test_elbo_answers_the_bound_and_its_terms(gaussian: Served) -> None:
    """The ELBO equals the model's, with the noise of the seed in row order."""
    x = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    request = {"x": x.tolist(), "n_samples": 4, "seed": 11}

    answer = gaussian.post("/elbo", request).json()

    eps = standard_normal((3, 4, 3), seed=11, stream=Stream.LATENT).swapaxes(0, 1)
    wanted = elbo(
        gaussian.checkpoint.vae,
        torch.from_numpy(x),
        eps=torch.from_numpy(np.ascontiguousarray(eps)),
    )
    np.testing.assert_allclose(answer["elbo"], wanted.bound, rtol=1e-4)
    np.testing.assert_allclose(
        answer["log_likelihood"], wanted.log_likelihood, rtol=1e-4
    )
    np.testing.assert_allclose(answer["kl"], wanted.kl, rtol=1e-4)
    assert wanted.kl_per_dim is not None
    np.testing.assert_allclose(answer["kl_per_dim"], wanted.kl_per_dim, rtol=1e-4)
    assert answer["n_samples"] == 4
    assert answer["seed"] == 11
    assert answer["binarize"] is None
    assert answer["units"] == "nats"


def test_binarize_threshold_is_the_elbo_of_binary_data(bernoulli: Served) -> None:
    """Grey values at a threshold of 1/2 are scored as zeros and ones."""
    grey = np.random.default_rng(0).random((2, 16))
    binary = (grey >= 0.5).astype(int)

    asked = {"x": grey.tolist(), "seed": 1, "binarize": "threshold"}
    thresholded = bernoulli.post("/elbo", asked).json()
    direct = bernoulli.post("/elbo", {"x": binary.tolist(), "seed": 1}).json()

    assert thresholded.pop("binarize") == "threshold"
    assert direct.pop("binarize") is None
    assert thresholded == direct


def test_binarize_sample_uses_the_seed(bernoulli: Served) -> None:
    """Grey values drawn to binary ones are scored as the draw of the seed's stream."""
    grey = np.random.default_rng(0).random((2, 16)).astype(np.float32)
    drawn = uniform((2, 16), seed=5, stream=Stream.BINARIZATION) < grey

    asked = {"x": grey.tolist(), "seed": 5, "binarize": "sample"}
    sampled = bernoulli.post("/elbo", asked).json()
    direct = bernoulli.post("/elbo", {"x": drawn.astype(int).tolist(), "seed": 5})

    assert sampled["elbo"] == direct.json()["elbo"]
