"""The k-hat of weights is the shape of the tail that they were drawn from."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from model.inference.pareto import pareto_k

ROWS, DRAWS = 200, 5000
TAIL = math.ceil(3 * math.sqrt(DRAWS))


def uniform(rows: int = ROWS) -> Tensor:
    """Return uniform noise in (0, 1), (rows, DRAWS)."""
    generator = torch.Generator().manual_seed(0)
    u = torch.rand(rows, DRAWS, generator=generator, dtype=torch.float64)
    return u.clamp(min=1e-300)


@pytest.mark.parametrize("k", [0.2, 0.5, 0.8, 1.2])
def test_the_shape_of_pareto_weights_is_found(k: float) -> None:
    """For P(w > t) = t^(-1/k) the mean k-hat is k, drawn to 1/2 by ten of a half."""
    log_weights = -k * torch.log(uniform())

    k_hat = pareto_k(log_weights)

    expected = (TAIL * k + 10 * 0.5) / (TAIL + 10)
    error = k_hat.std() / math.sqrt(ROWS)
    # Zhang & Stephens (2009) measure a bias of up to 0.01 at this size of tail.
    assert abs(k_hat.mean() - expected) < 4 * error + 0.01
    # The spread is that of maximum likelihood, (1 + k) / sqrt(M), within a fifth.
    assert k_hat.std() == pytest.approx((1 + k) / math.sqrt(TAIL), rel=0.2)


def test_a_bounded_tail_has_a_negative_k() -> None:
    """Weights that are uniform have k = -1, of which the prior leaves -0.93."""
    k_hat = pareto_k(torch.log(uniform()))

    assert k_hat.mean() == pytest.approx((-TAIL + 5) / (TAIL + 10), abs=0.05)


def reference(log_weights: np.ndarray) -> float:
    """Fit one row in plain steps, as the paper's R code does."""
    ordered = np.sort(np.exp(log_weights - log_weights.max()))
    x = ordered[-TAIL:] - ordered[-TAIL - 1]
    m = 30 + int(np.sqrt(len(x)))
    quartile = x[int(len(x) / 4 + 0.5) - 1]
    theta = np.array(
        [
            1 / x[-1] + (1 - np.sqrt(m / (j - 0.5))) / (3 * quartile)
            for j in range(1, m + 1)
        ]
    )
    k = np.array([-np.mean(np.log(1 - t * x)) for t in theta])
    log_profile = np.array(
        [len(x) * (np.log(t / s) + s - 1) for t, s in zip(theta, k, strict=True)]
    )
    weight = [1 / np.sum(np.exp(log_profile - one)) for one in log_profile]
    shape = np.mean(np.log(1 - np.dot(theta, weight) * x))
    return float((len(x) * shape + 5) / (len(x) + 10))


@pytest.mark.parametrize("scale", [0.1, 1.0, 4.0])
def test_the_fit_is_that_of_the_paper(scale: float) -> None:
    """For log-normal weights it equals a fit row by row in the paper's own signs."""
    generator = torch.Generator().manual_seed(1)
    normal = torch.randn(5, DRAWS, generator=generator, dtype=torch.float64)
    log_weights = scale * normal - 1000

    k_hat = pareto_k(log_weights)

    expected = [reference(row) for row in log_weights.numpy()]
    torch.testing.assert_close(
        k_hat, torch.tensor(expected, dtype=torch.float64), rtol=1e-8, atol=0
    )


def test_a_row_has_its_own_fit() -> None:
    """Rows do not mix, and a common factor of the weights does not matter."""
    log_weights = -0.7 * torch.log(uniform(rows=3))

    k_hat = pareto_k(log_weights)

    for i in range(3):
        torch.testing.assert_close(pareto_k(log_weights[i : i + 1] - 700)[0], k_hat[i])


def test_constant_weights_and_few_have_no_tail() -> None:
    """Where there is nothing to fit, k-hat is NaN and not a number that misleads."""
    assert pareto_k(torch.full((2, 1000), -90.0)).isnan().all()
    assert pareto_k(torch.randn(1, 20)).isnan().all()


def test_one_weight_above_all_others_is_no_constant() -> None:
    """Where one weight dwarfs the rest, k-hat is far above any threshold."""
    log_weights = torch.zeros(2, 1000, dtype=torch.float64)
    log_weights[0] = torch.linspace(-5e4, 0, 1000)
    log_weights[1] = torch.linspace(-1000, 0, 1000)

    assert (pareto_k(log_weights) > 1).all()
