"""What `/decode` answers, against the model itself."""

import numpy as np
import torch

from model.distributions import Gaussian
from tests.app.served import Served


def test_decode_answers_the_mean_in_the_shape_of_data(bernoulli: Served) -> None:
    """A Bernoulli has a mean and no variance of its own."""
    z = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)

    answer = bernoulli.post("/decode", {"z": z.tolist()}).json()

    mean = bernoulli.checkpoint.vae.decode(torch.from_numpy(z)).mean
    assert answer.keys() == {"mean", "likelihood"}
    assert answer["likelihood"] == "bernoulli"
    assert np.shape(answer["mean"]) == (2, 4, 4)
    np.testing.assert_allclose(np.reshape(answer["mean"], (2, 16)), mean, rtol=1e-5)


def test_decode_of_a_gaussian_answers_the_variance_too(gaussian: Served) -> None:
    """A Gaussian has a mean and a log variance in the data's own units."""
    z = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)

    answer = gaussian.post("/decode", {"z": z.tolist()}).json()

    vae = gaussian.checkpoint.vae
    p_x, units = vae.decode(torch.from_numpy(z)), vae.units
    assert isinstance(p_x, Gaussian)
    assert units is not None
    assert answer.keys() == {"mean", "log_var", "likelihood"}
    mean, log_var = units.mean(p_x.mean.numpy()), units.log_var(p_x.log_var.numpy())
    np.testing.assert_allclose(answer["mean"], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answer["log_var"], log_var, rtol=1e-5, atol=1e-6)


def test_a_long_answer_is_the_same_as_short_ones(conv: Served) -> None:
    """What is written in pieces is one JSON document with every row in its place."""
    z = np.random.default_rng(0).standard_normal((700, 3)).round(3).tolist()

    long = conv.post("/decode", {"z": z}).json()
    head = conv.post("/decode", {"z": z[:5]}).json()
    tail = conv.post("/decode", {"z": z[-5:]}).json()

    assert long.keys() == head.keys()
    assert np.shape(long["mean"]) == (700, 8, 8, 2)
    assert long["mean"][:5] == head["mean"]
    assert long["mean"][-5:] == tail["mean"]
