"""Anomaly detection: conformal p-values of any score, and surprise per dimension."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.vae import VAE

Array = NDArray[np.floating[Any]]


class PValues(NamedTuple):
    """
    Conformal p-values in [1 / (n + 1), 1], in the shape of the scores.

    Attributes:
        upper: Small where the score is high compared with the calibration scores.
        lower: Small where the score is low.
        two_sided: Twice the smaller of the two, at most 1; small in both cases.
    """

    upper: NDArray[np.float64]
    lower: NDArray[np.float64]
    two_sided: NDArray[np.float64]


def p_values(scores: Array, calibration: Array) -> PValues:
    """
    Rank scores among those of held-out rows (Vovk, Gammerman & Shafer 2005, ch. 2).

    With n calibration scores c_i, upper = (1 + #{c_i >= s}) / (n + 1) and lower =
    (1 + #{c_i <= s}) / (n + 1). A tie counts as at least as extreme on both sides, so
    ties can only make p-values larger. If a row is exchangeable with the calibration
    rows, P(p <= a) <= a for every a. This holds for any score, such as -ELBO,
    -log p(x) or likelihood regret (Xiao et al. 2020), if the row and the calibration
    rows have the same score, with the same K and independent noise. Rows used in
    training or model selection score too well to be exchangeable with new ones.

    Args:
        scores: Any shape; infinity is allowed.
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
            raise ValueError(f"{name} {index} is NaN; expected a number")
    ordered = np.sort(calibration)
    n = len(ordered)
    upper = (1 + n - np.searchsorted(ordered, scores, side="left")) / (n + 1)
    lower = (1 + np.searchsorted(ordered, scores, side="right")) / (n + 1)
    return PValues(upper, lower, np.minimum(1.0, 2 * np.minimum(upper, lower)))


class Surprise(NamedTuple):
    """
    -log p(x|z) under draws of z from q(z|x), in nats.

    Attributes:
        per_dim: E_q[-log p(x_d|z)], the mean over K draws, (N, D).
        per_draw: -log p(x|z) of each draw, float64, (K, N).
    """

    per_dim: Tensor
    per_draw: Tensor


def surprise(vae: VAE, x: Tensor, *, eps: Tensor) -> Surprise:
    """
    Return -log p(x|z) for z ~ q(z|x), of every dimension and of every draw, in nats.

    The sum over dimensions is minus the log-likelihood term of the ELBO with the same
    noise. Under a density (Gaussian or continuous Bernoulli) the surprise may be
    negative and depends on the units of x_d, so compare one dimension over rows.

    Args:
        x: Data in the likelihood's support, (N, D).
        eps: Standard normal noise, (K, N, J).
    """
    q_z = vae.encode(x)
    total, per_draw = x.new_zeros(len(x), vae.config.data_dim), []
    for one in eps:  # one draw at a time: (K, N, D) may not fit into memory
        log_prob = vae.decode(q_z.reparameterize(one)).log_prob_per_dim(x)
        total = total - log_prob
        per_draw.append(-log_prob.sum(dim=1, dtype=torch.float64))
    return Surprise(total / len(eps), torch.stack(per_draw))
