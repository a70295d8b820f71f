"""What `/sample` answers, against the model itself."""

import numpy as np
import pytest
import torch

from model.noise import Stream, standard_normal, uniform
from tests.app.served import Served


def test_sample_scales_the_noise_of_its_seed(bernoulli: Served) -> None:
    """Z is temperature times the seed's noise, and x is E[x|z]."""
    request = {"n": 4, "seed": 7, "temperature": 0.5}

    answer = bernoulli.post("/sample", request).json()

    z = 0.5 * standard_normal((4, 3), seed=7, stream=Stream.PRIOR)
    mean = bernoulli.checkpoint.vae.decode(torch.from_numpy(z)).mean
    assert answer["seed"] == 7
    np.testing.assert_array_equal(np.float32(answer["z"]), z)
    np.testing.assert_allclose(np.reshape(answer["x"], (4, 16)), mean, rtol=1e-5)


def test_a_drawn_sample_is_in_the_support(bernoulli: Served) -> None:
    """With draw "sample" a Bernoulli gives zeros and ones, by the seed's uniforms."""
    request = {"n": 4, "seed": 7, "draw": "sample"}

    x = np.reshape(bernoulli.post("/sample", request).json()["x"], (4, 16))

    z = torch.from_numpy(standard_normal((4, 3), seed=7, stream=Stream.PRIOR))
    u = torch.from_numpy(uniform((4, 16), seed=7, stream=Stream.DATA))
    wanted = bernoulli.checkpoint.vae.decode(z).sample(u)
    np.testing.assert_array_equal(x, wanted)


def test_temperature_zero_is_the_mean_of_the_prior(bernoulli: Served) -> None:
    """At temperature 0 every z is 0."""
    answer = bernoulli.post("/sample", {"n": 2, "temperature": 0}).json()

    assert np.array_equal(np.abs(answer["z"]), np.zeros((2, 3)))
    assert answer["x"][0] == answer["x"][1]


@pytest.mark.parametrize("seed", [0, 2**53 + 1, 2**63 - 1])
def test_a_seed_survives_exactly(bernoulli: Served, seed: int) -> None:
    """A seed comes back as it went, in body and query, beyond 2^53 too."""
    by_body = bernoulli.post("/sample", {"seed": seed}).json()
    by_query = bernoulli.get(f"/sample?seed={seed}").json()

    assert by_body["seed"] == by_query["seed"] == seed
    assert by_body == by_query


def test_a_missing_seed_is_drawn_and_told(bernoulli: Served) -> None:
    """Two requests without a seed differ; the seed of a response repeats it."""
    first, second = (bernoulli.post("/sample", {}).json() for _ in range(2))

    again = bernoulli.post("/sample", {"seed": first["seed"]}).json()

    assert first != second
    assert again == first
    assert first["seed"] < 2**53  # a JavaScript client can send it back


def test_samples_are_cached_only_with_their_seed(bernoulli: Served) -> None:
    """A cache would give the draws of one request to all that come after it."""
    seeded = bernoulli.get("/sample", params={"seed": 3})
    drawn = bernoulli.get("/sample")

    assert "cache-control" not in seeded.headers
    assert drawn.headers["cache-control"] == "no-store"
    assert drawn.headers["vary"] == seeded.headers["vary"] == "accept"
