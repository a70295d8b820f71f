"""How unusual a row is: conformal p-values of any score, and surprise by dimension."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.vae import VAE

Array = NDArray[np.floating[Any]]


class PValues(NamedTuple):
    """
    Conformal p-values, each in [1 / (n + 1), 1], of the shape of the scores.

    Attributes:
        upper: Small where the score is high beside the calibration scores.
        lower: Small where it is low.
        two_sided: Twice the smaller of both, at most 1: small where it is either.
    """

    upper: NDArray[np.float64]
    lower: NDArray[np.float64]
    two_sided: NDArray[np.float64]


def p_values(scores: Array, calibration: Array) -> PValues:
    """
    Rank scores among those of held-out rows (Vovk, Gammerman & Shafer 2005, ch. 2).

    With n calibration scores c_i, upper = (1 + #{c_i >= s}) / (n + 1) and lower =
    (1 + #{c_i <= s}) / (n + 1). A tie counts as at least as extreme on both sides, so
    with ties the p-values are larger than they need be, never smaller. If a row is
    exchangeable with the calibration rows, P(p <= a) <= a for every a, whatever the
    score is: -ELBO, -log p(x) or likelihood regret (Xiao et al. 2020), one and the
    same on both sides, with the same K but noise of its own. Rows that training or
    model choice has seen score too well to be exchangeable with new ones.

    Args:
        scores: Any shape; infinite is allowed.
        calibration: Scores of held-out rows, (n,), n >= 1.

    Raises:
        ValueError: There is no calibration score, or a score is NaN.
    """
    if calibration.ndim != 1 or calibration.size == 0:
        raise ValueError(
            f"expected calibration scores (n,), n >= 1, got {list(calibration.shape)}"
        )
    for name, values in (("score", scores), ("calibration score", calibration)):
        if np.isnan(values).any():
            index = np.argwhere(np.isnan(values))[0].tolist()
            raise ValueError(f"{name} {index} is NaN; a rank needs a number")
    ordered = np.sort(calibration)
    n = len(ordered)
    upper = (1 + n - np.searchsorted(ordered, scores, side="left")) / (n + 1)
    lower = (1 + np.searchsorted(ordered, scores, side="right")) / (n + 1)
    return PValues(upper, lower, np.minimum(1.0, 2 * np.minimum(upper, lower)))


def surprise_per_dim(vae: VAE, x: Tensor, *, eps: Tensor) -> Tensor:
    """
    Return E_q[-log p(x_d|z)] of every dimension, (N, D), in nats.

    The sum over dimensions is the ELBO's -log-likelihood with the same noise. Under a
    density, of a Gaussian or a continuous Bernoulli, it may be negative and moves with
    the units of x_d: compare a dimension with itself over rows.

    Args:
        x: Data in the likelihood's support, (N, D).
        eps: Standard normal noise, (K, N, J).
    """
    q_z = vae.encode(x)
    total = torch.zeros_like(x)
    for one in eps:  # a draw at a time: (K, N, D) may not fit into memory
        total = total - vae.decode(q_z.reparameterize(one)).log_prob_per_dim(x)
    return total / len(eps)
