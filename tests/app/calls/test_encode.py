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
    """The model sees the float32 nearest to each JSON number, and answers likewise."""
    x = [[0.1, 1.0000000596046448], [16777217, 1e-46]]
    vae = linear.checkpoint.vae

    answer = linear.post("/encode", {"x": x}).json()

    mu = vae.encode(torch.from_numpy(np.array(x, np.float32))).mu.numpy()
    np.testing.assert_allclose(np.float32(answer["mu"]), mu, rtol=1e-6)


def test_an_answer_that_is_not_finite_is_an_error(linear: Served) -> None:
    """A row that overflows in the model is named; it never becomes null."""
    x = [[0.0, 0.0], [3e38, 3e38]]

    response = linear.post("/encode", {"x": x})
    score = linear.post("/elbo", {"x": x})

    for refused in (response, score):
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "/x/1"
        assert "not finite" in refused.json()["detail"]
