"""A model that starts as a linear Gaussian law is that law."""

from typing import Any

import numpy as np
import pytest
import torch

from model.config import Config
from model.dataset_elbo import estimate_elbo
from model.train.baselines import LinearGaussian, full_gaussian
from model.train.linear_start import max_start_factors, set_linear_start
from model.vae import VAE, initial_vae

D = 6  # of the document
LAWS = {
    "two factors": LinearGaussian(
        "two factors",
        np.linspace(-1, 1, D),
        np.random.default_rng(0).normal(size=(D, 2)),
        np.linspace(0.1, 0.5, D),
    ),
    "full": full_gaussian(
        np.zeros(D), np.cov(np.random.default_rng(1).normal(size=(D, 20))), floor=0.01
    ),
}


def gaussian(document: dict[str, Any], **network: Any) -> VAE:
    """Return a model in float64 with a Gaussian decoder and these networks."""
    document["likelihood"] = {"kind": "gaussian", "sigma_floor": 0.01}
    document["latent_dim"] = D
    for part in ("encoder", "decoder"):
        document[part] = {**document[part], **network}
    return initial_vae(Config.model_validate(document), seed=0).double()


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize("activation", ["silu", "relu"])
@pytest.mark.parametrize("hidden", [(), (12,), (40,), (16, 12, 13)])
def test_the_bound_of_the_start_is_the_log_density_of_the_law(
    document: dict[str, Any],
    hidden: tuple[int, ...],
    activation: str,
    law: LinearGaussian,
) -> None:
    """
    With the exact posterior every draw of the ELBO is log p(x), to 1e-6 nats.

    The only difference is softplus: the decoder's variance in float64.
    """
    vae = gaussian(document, hidden=hidden, activation=activation)
    x = 2 * np.random.default_rng(2).normal(size=(9, D))

    set_linear_start(vae, law)

    bound = estimate_elbo(vae, torch.from_numpy(x), n_samples=400, seed=0).bound
    np.testing.assert_allclose(bound, law.log_prob(x), rtol=0, atol=0.5)
    q_z = vae.encode(torch.from_numpy(x))
    z = torch.randn(9, D, dtype=torch.float64)
    exact = vae.log_joint(torch.from_numpy(x), z) - q_z.log_prob(z)
    np.testing.assert_allclose(exact.detach(), law.log_prob(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("network", "n"),
    [
        ({"hidden": (), "activation": "tanh"}, 6),
        ({"hidden": (8,), "activation": "tanh"}, 0),
        ({"hidden": (8,), "activation": "silu"}, 4),
        ({"hidden": (64, 5), "activation": "relu"}, 2),
        ({"hidden": (64,), "activation": "silu"}, 6),
        ({"hidden": (1,), "activation": "silu"}, 0),
    ],
)
def test_a_factor_needs_two_units_of_each_layer(
    document: dict[str, Any], network: dict[str, Any], n: int
) -> None:
    """And a dimension of z; tanh passes nothing on unchanged."""
    assert max_start_factors(gaussian(document, **network).config) == n


def test_a_convolution_has_no_linear_start(document: dict[str, Any]) -> None:
    """Its weights are shared by all places."""
    conv = {"kind": "conv", "channels": (2,), "hidden": 8, "activation": "silu"}
    document |= {"data_shape": (4, 4), "encoder": conv, "decoder": conv}

    assert max_start_factors(Config.model_validate(document)) == 0
