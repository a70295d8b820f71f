"""`/loglik` against the closed form of a linear-Gaussian model."""

import numpy as np
import pytest

from model.inference import analyses
from model.inference.columns import columns_by_name
from model.inference.effort import Effort
from tests.app.known import Known

# Of the closed forms in float64, with which a decoder in float32 agrees.
ROUNDING = 1e-4


@pytest.mark.slow("computes analyses")
def test_loglik_encloses_the_evidence(known: Known) -> None:
    """With `upper` log p(x) of the closed form lies between, and near both."""
    found = known.ask("/loglik", target=0.005, budget=65_536, upper=True)

    exact = known.model.log_p_x.numpy()
    lower, upper = found["log_p_x"], found["upper"]
    assert found["is_reliable"].all()
    assert (lower < exact + 4 * found["log_p_x_standard_error"] + ROUNDING).all()
    assert (upper > exact - 4 * found["upper_standard_error"] - ROUNDING).all()
    np.testing.assert_allclose(lower, exact, atol=0.03)
    np.testing.assert_allclose(upper, exact, atol=0.05)
    np.testing.assert_allclose(found["log_p_x_pooled"], exact, atol=0.03)
    assert found["units"] == "nats"
    assert found["seed"] == 1
    assert found["binarize"] is None


def test_loglik_of_k_draws_is_that_bound(known: Known) -> None:
    """With `n_samples` it is the model's bound of as many draws and the same seed."""
    found = known.ask("/loglik", n_samples=64)

    effort = Effort.fixed(64)
    x = known.model.x.float()
    wanted = analyses.evidence(known.served.checkpoint.vae, x, effort, seed=1)
    assert (found["n_samples"] == 64).all()
    for name, column in columns_by_name(wanted).items():
        np.testing.assert_allclose(
            np.float64(found[name]), np.float64(column), rtol=1e-5, atol=1e-5
        )


def test_a_tail_beyond_measure_is_null(known: Known) -> None:
    """Where one draw has all the weight k-hat is null; a bound has no flag."""
    x = [[1e5] * 5]

    found = known.served.post("/loglik", {"x": x, "n_samples": 4, "seed": 1}).json()

    assert found["pareto_k"] == [None]
    assert found["is_reliable"] is None
    assert np.isfinite(found["log_p_x"]).all()
