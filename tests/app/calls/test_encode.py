"""What `/encode` answers, against the model itself."""

import numpy as np
import torch

from tests.app.served import Served


def test_encode_answers_q_of_the_model(bernoulli: Served) -> None:
    """Both parameters equal the encoder's own output."""
    x = np.random.default_rng(0).random((3, 16))

    answer = bernoulli.post("/encode", {"x": x.tolist()}).json()

    q_z = bernoulli.checkpoint.vae.encode(torch.tensor(x, dtype=torch.float32))
    assert answer.keys() == {"mu", "log_var"}
    np.testing.assert_allclose(answer["mu"], q_z.mu, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answer["log_var"], q_z.log_var, rtol=1e-5, atol=1e-6)


def test_shaped_and_flat_rows_are_the_same(conv: Served) -> None:
    """[N, *shape] and [N, D] of the same values give the same answer."""
    x = np.random.default_rng(0).random((2, 8, 8, 2))

    shaped = conv.post("/encode", {"x": x.tolist()})
    flat = conv.post("/encode", {"x": x.reshape(2, -1).tolist()})

    assert shaped.status_code == 200
    assert shaped.content == flat.content


def test_values_survive_the_wire_exactly(linear: Served) -> None:
    """Numbers are standardized in float64, and the answer is what the model finds."""
    x = [[0.1, 1.0000000596046448], [16777217, 1e-46]]
    vae = linear.checkpoint.vae

    answer = linear.post("/encode", {"x": x}).json()

    u = vae.in_model_units(np.array(x))
    mu = vae.encode(torch.from_numpy(u)).mu.numpy()
    np.testing.assert_allclose(np.float32(answer["mu"]), mu, rtol=1e-6)


def test_an_answer_that_is_not_finite_is_an_error(linear: Served) -> None:
    """A row that overflows in the model is named; it never becomes null."""
    x = [[0.0, 0.0], [1e38, 1e38]]

    score = linear.post("/elbo", {"x": x})

    assert score.status_code == 422
    assert score.json()["errors"][0]["pointer"] == "/x/1"
    assert "not finite" in score.json()["detail"]


def test_a_value_too_far_from_the_training_rows_is_named(linear: Served) -> None:
    """One that overflows when it is standardized is an error with its place."""
    x = [[0.0, 0.0], [0.0, 3e38], [1e308, 0.0]]

    for rows, pointer in ((x[:2], None), (x, "/x/2/0"), ([[3e38, 0.0]], "/x/0/0")):
        response = linear.post("/encode", {"x": rows})

        assert (response.status_code == 200) == (pointer is None)
        if pointer is not None:
            assert response.json()["errors"][0]["pointer"] == pointer
            assert "a number like those of the training" in response.json()["detail"]
