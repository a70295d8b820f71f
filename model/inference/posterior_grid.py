"""The exact posterior of one example as columns, on a grid small enough to return."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.inference import posterior
from model.inference.columns import Posteriors, column
from model.inference.posterior import Posterior
from model.inference.proposals import encode_wide
from model.vae import VAE

# Points per axis of the returned grid, for J = 1 and 2. The grid of the integration has
# a multiple of these steps.
N_GRID = {1: 513, 2: 129}


@torch.no_grad()
def integrate(vae: VAE, wide: VAE, x: Tensor) -> Posteriors:
    """
    Integrate p(x, z) over z for one example, (1, D).

    Args:
        wide: The model in float64, which decodes, so that rounding adds no error.
    """
    q_z, x = encode_wide(vae, x), x.double()
    exact = posterior.posterior(wide, x, start=q_z)
    divergence = posterior.kl_to_posterior(wide, x, q_z, exact)
    grids = [_on_coarse_grid(found, q_z, i) for i, found in enumerate(exact)]
    return Posteriors(
        log_p_x=np.array([found.log_p_x for found in exact]),
        log_p_x_error=np.array([found.error for found in exact]),
        kl=column(divergence.value),
        kl_error=column(divergence.error),
        converged=np.array([found.converged for found in exact]),
        mean=column(torch.stack([found.mean for found in exact])),
        covariance=column(torch.stack([found.covariance for found in exact])),
        axes=column(torch.stack([grid.axes for grid in grids])),
        log_posterior=column(torch.stack([grid.log_posterior for grid in grids])),
        log_q=column(torch.stack([grid.log_q for grid in grids])),
    )


class _Grid(NamedTuple):
    """Values of each z_j, (J, G), and both log densities there, (G,) or (G, G)."""

    axes: Tensor
    log_posterior: Tensor
    log_q: Tensor


def _on_coarse_grid(found: Posterior, q_z: DiagonalGaussian, i: int) -> _Grid:
    """Return both log densities on a coarser grid, for example i."""
    n_axes = len(found.axes)
    thinned = slice(None, None, (len(found.axes[0]) - 1) // (N_GRID[n_axes] - 1))
    axes = torch.stack([axis[thinned] for axis in found.axes])  # (J, G)
    z = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)  # (G, J) or (G, G, J)
    log_q = q_z.rows(torch.tensor([i], device=z.device)).log_prob(z)
    log_posterior = found.log_density[(thinned,) * n_axes]
    return _Grid(axes=axes, log_posterior=log_posterior, log_q=log_q)
