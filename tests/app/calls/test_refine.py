"""`/refine` against the closed form of a linear-Gaussian model."""

import numpy as np

from tests.app.known import Known


def test_refine_finds_the_best_diagonal_gaussian(known: Known) -> None:
    """Means of the exact posterior, variances sigma^2 / M_jj (Tipping & Bishop)."""
    found = known.ask("/refine")

    model = known.model
    mean = (model.r @ model.w @ model.m.inverse()).numpy()
    log_var = np.log(0.3 / model.m.diagonal().numpy())
    np.testing.assert_allclose(found["mu"], mean, atol=1e-3)
    np.testing.assert_allclose(
        found["log_var"], np.broadcast_to(log_var, mean.shape), atol=1e-3
    )
    np.testing.assert_allclose(
        found["improvement"], found["elbo_after"] - found["elbo_before"], atol=1e-9
    )
    assert (found["improvement"] > 0).all()
    assert (found["n_steps"] > 0).all()
    assert found["converged"].all()
