"""`/gap` against the closed form of a linear-Gaussian model."""

import numpy as np
import torch

from tests.app.known import Known

# Of the closed forms in float64, with which a decoder in float32 agrees.
ROUNDING = 1e-4


def test_gap_has_both_parts(known: Known) -> None:
    """Approximation 1/2 (sum log M_jj - log det M), amortization the rest of the KL."""
    found = known.ask("/gap", target=0.005, budget=65_536)

    m, kl = known.model.m, known.model.gap.numpy()
    approximation = 0.5 * (m.diagonal().log().sum() - torch.logdet(m)).item()
    for name, exact in (
        ("approximation_gap", approximation),
        ("amortization_gap", kl - approximation),
        ("total_gap", kl),
        ("log_p_x", known.model.log_p_x.numpy()),
        ("elbo_before", (known.model.log_likelihood - known.model.kl).numpy()),
        ("elbo_after", known.model.log_p_x.numpy() - approximation),
    ):
        allowed = 4 * found[f"{name}_standard_error"] + ROUNDING * 10
        assert (np.abs(found[name] - exact) < allowed).all(), name
    assert found["converged"].all()
    assert found["is_reliable"].all()
