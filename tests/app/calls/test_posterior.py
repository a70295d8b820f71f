"""`/posterior` against the closed form of a linear-Gaussian model."""

import numpy as np
import pytest

from tests.app.known import Known
from tests.app.served import Served, assert_problem

# Of the closed forms in float64, with which a decoder in float32 agrees.
ROUNDING = 1e-4


@pytest.mark.slow("integrates over the plane")
def test_posterior_is_the_exact_one(known: Known) -> None:
    """The Gaussian of the closed form on the grid, its moments, log p(x) and the KL."""
    found = known.ask("/posterior")

    model = known.model
    precision = (model.m / 0.3).numpy()
    mean = (model.r @ model.w @ model.m.inverse()).numpy()
    j = mean.shape[1]
    np.testing.assert_allclose(found["log_p_x"], model.log_p_x, atol=ROUNDING)
    np.testing.assert_allclose(found["kl"], model.gap, atol=10 * ROUNDING)
    np.testing.assert_allclose(found["mean"], mean, atol=ROUNDING)
    covariance = np.broadcast_to(np.linalg.inv(precision), (4, j, j))
    np.testing.assert_allclose(found["covariance"], covariance, atol=ROUNDING)
    z = np.stack(np.meshgrid(*found["axes"][0], indexing="ij"), axis=-1) - mean[0]
    square = np.einsum("...i,ij,...j->...", z, precision, z)
    log_density = 0.5 * (
        np.linalg.slogdet(precision)[1] - j * np.log(2 * np.pi) - square
    )
    np.testing.assert_allclose(found["log_posterior"][0], log_density, atol=0.01)
    assert (found["log_p_x_error"] < 1e-5).all()
    assert (found["kl_error"] < 1e-5).all()


def test_posterior_needs_few_dimensions(bernoulli: Served) -> None:
    """A model of three is refused, saying what was wanted and what came."""
    problem = assert_problem(bernoulli.post("/posterior", {"x": [[0, 1] * 8]}), 422)

    assert "1 or 2 latent dimensions, this one has 3" in problem["detail"]


@pytest.mark.slow("integrates over the plane")
def test_a_posterior_beyond_resolution_is_refused(known: Known) -> None:
    """Where float64 cannot tell the z of a posterior apart, a 422 names the row."""
    x = [[1.0] * 5, [1e16] * 5]

    problem = assert_problem(known.served.post("/posterior", {"x": x}), 422)

    assert problem["errors"][0]["pointer"] == "/x/1"
    assert "not finite" in problem["detail"]
