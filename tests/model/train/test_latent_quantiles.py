"""Where held-out rows lie along each dimension, estimated on a bounded number."""

import numpy as np
import torch

from model.inference.health import posteriors
from model.train.latent_quantiles import MAX_EXAMPLES, latent_quantiles
from tests import normal
from tests.tiny import tiny_config, tiny_vae


def test_of_many_rows_those_at_even_distances_are_taken() -> None:
    """Of twice as many as are taken, every other; the settings say how many."""
    vae = tiny_vae(tiny_config("gaussian", data_shape=(5,), latent_dim=1))
    x = torch.randn((2 * MAX_EXAMPLES, 5), generator=torch.Generator().manual_seed(0))

    found = latent_quantiles(vae, x, split="validation", binarization="none")

    q_z = posteriors(vae, x[::2])
    units = (found.values[:, :, None] - q_z.mu.T.numpy()) / q_z.sigma.T.numpy()
    share = normal.cdf(units).mean(axis=2)
    np.testing.assert_allclose(share[0], found.levels, atol=1e-12)
    assert found.settings.n_examples == MAX_EXAMPLES
    assert (np.diff(found.values) > 0).all()
    np.testing.assert_allclose(normal.quantiles(found.levels[[0, -1]]), [-4.5, 4.5])
