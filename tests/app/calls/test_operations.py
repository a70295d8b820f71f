"""What the four calls answer, against the model itself."""

import numpy as np
import pytest
import torch

from model.elbo import elbo
from model.noise import Stream, standard_normal, uniform
from tests.app.served import Served

RNG = np.random.default_rng(0)


def test_encode_answers_q_of_the_model(bernoulli: Served) -> None:
    """Both parameters equal the encoder's own output."""
    x = RNG.random((3, 16))

    answer = bernoulli.post("/encode", {"x": x.tolist()}).json()

    q_z = bernoulli.checkpoint.vae.encode(torch.tensor(x, dtype=torch.float32))
    assert answer.keys() == {"mu", "log_var"}
    np.testing.assert_allclose(answer["mu"], q_z.mu, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answer["log_var"], q_z.log_var, rtol=1e-5, atol=1e-6)


def test_shaped_and_flat_rows_are_the_same(conv: Served) -> None:
    """[N, *shape] and [N, D] of the same values give the same answer."""
    x = RNG.random((2, 8, 8, 2))

    shaped = conv.post("/encode", {"x": x.tolist()})
    flat = conv.post("/encode", {"x": x.reshape(2, -1).tolist()})

    assert shaped.status_code == 200
    assert shaped.content == flat.content


def test_decode_answers_the_mean_in_the_shape_of_data(bernoulli: Served) -> None:
    """A Bernoulli has a mean and no variance of its own."""
    z = RNG.standard_normal((2, 3)).astype(np.float32)

    answer = bernoulli.post("/decode", {"z": z.tolist()}).json()

    mean = bernoulli.checkpoint.vae.decode(torch.from_numpy(z)).mean
    assert answer.keys() == {"mean", "likelihood"}
    assert answer["likelihood"] == "bernoulli"
    assert np.shape(answer["mean"]) == (2, 4, 4)
    np.testing.assert_allclose(np.reshape(answer["mean"], (2, 16)), mean, rtol=1e-5)


def test_decode_of_a_gaussian_answers_the_variance_too(gaussian: Served) -> None:
    """A Gaussian has a mean and a log variance in the data's own units."""
    z = RNG.standard_normal((2, 3)).astype(np.float32)

    answer = gaussian.post("/decode", {"z": z.tolist()}).json()

    p_x = gaussian.checkpoint.vae.decode(torch.from_numpy(z))
    assert answer.keys() == {"mean", "log_var", "likelihood"}
    np.testing.assert_allclose(answer["mean"], p_x.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answer["log_var"], p_x.log_var, rtol=1e-5, atol=1e-6)  # type: ignore[attr-defined]  # a Gaussian has one


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


def test_elbo_answers_the_bound_and_its_terms(gaussian: Served) -> None:
    """The ELBO equals the model's, with the noise of the seed in row order."""
    x = RNG.standard_normal((3, 5)).astype(np.float32)
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
    grey = RNG.random((2, 16))
    binary = (grey >= 0.5).astype(int)

    asked = {"x": grey.tolist(), "seed": 1, "binarize": "threshold"}
    thresholded = bernoulli.post("/elbo", asked).json()
    direct = bernoulli.post("/elbo", {"x": binary.tolist(), "seed": 1}).json()

    assert thresholded.pop("binarize") == "threshold"
    assert direct.pop("binarize") is None
    assert thresholded == direct


def test_binarize_sample_uses_the_seed(bernoulli: Served) -> None:
    """Grey values drawn to binary ones are scored as the draw of the seed's stream."""
    grey = RNG.random((2, 16)).astype(np.float32)
    drawn = uniform((2, 16), seed=5, stream=Stream.BINARIZATION) < grey

    asked = {"x": grey.tolist(), "seed": 5, "binarize": "sample"}
    sampled = bernoulli.post("/elbo", asked).json()
    direct = bernoulli.post("/elbo", {"x": drawn.astype(int).tolist(), "seed": 5})

    assert sampled["elbo"] == direct.json()["elbo"]


@pytest.mark.parametrize("seed", [0, 2**53 + 1, 2**63 - 1])
def test_a_seed_survives_exactly(bernoulli: Served, seed: int) -> None:
    """A seed comes back as it went, in body and query, beyond 2^53 too."""
    by_body = bernoulli.post("/sample", {"seed": seed}).json()
    by_query = bernoulli.get(f"/sample?seed={seed}").json()

    assert by_body["seed"] == by_query["seed"] == seed
    assert by_body == by_query


def test_a_missing_seed_is_drawn_and_told(bernoulli: Served) -> None:
    """Two requests without a seed differ; the seed told repeats an answer."""
    first, second = (bernoulli.post("/sample", {}).json() for _ in range(2))

    again = bernoulli.post("/sample", {"seed": first["seed"]}).json()

    assert first != second
    assert again == first
    assert first["seed"] < 2**53  # a JavaScript client can send it back


def test_values_survive_the_wire_exactly(linear: Served) -> None:
    """The model sees the float32 nearest to each JSON number, and answers likewise."""
    x = [[0.1, 1.0000000596046448], [16777217, 1e-46]]
    vae = linear.checkpoint.vae

    answer = linear.post("/encode", {"x": x}).json()

    mu = vae.encode(torch.from_numpy(np.array(x, np.float32))).mu.numpy()
    np.testing.assert_allclose(np.float32(answer["mu"]), mu, rtol=1e-6)


def test_a_long_answer_is_the_same_as_short_ones(conv: Served) -> None:
    """What is written in pieces is one JSON document with every row in its place."""
    z = RNG.standard_normal((700, 3)).round(3).tolist()

    long = conv.post("/decode", {"z": z}).json()
    head = conv.post("/decode", {"z": z[:5]}).json()
    tail = conv.post("/decode", {"z": z[-5:]}).json()

    assert long.keys() == head.keys()
    assert np.shape(long["mean"]) == (700, 8, 8, 2)
    assert long["mean"][:5] == head["mean"]
    assert long["mean"][-5:] == tail["mean"]


def test_an_answer_that_is_not_finite_is_an_error(linear: Served) -> None:
    """A row that overflows in the model is named; it never becomes null."""
    x = [[0.0, 0.0], [3e38, 3e38]]

    response = linear.post("/encode", {"x": x})
    score = linear.post("/elbo", {"x": x})

    for refused in (response, score):
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "/x/1"
        assert "not finite" in refused.json()["detail"]
