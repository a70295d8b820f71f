"""A VAE's parameters are theta and phi, and a seed alone decides where they start."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from model.config import Config
from model.vae import VAE, empty, initial_vae

Build = Callable[..., VAE]

NETWORKS = pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hidden": ()},
        {"likelihood": "gaussian", "standardized": True},
        {"data_shape": (5, 6, 3), "channels": (4, 2)},
    ],
    ids=["mlp", "linear", "gaussian", "conv"],
)


@pytest.fixture
def config(build: Build) -> Config:
    """Return a configuration with every kind of state: weights and buffers."""
    return build(
        data_shape=(50, 60), hidden=(40,), likelihood="gaussian", standardized=True
    ).config


@NETWORKS
def test_theta_and_phi_are_all_parameters_and_share_none(
    build: Build, changes: dict[str, object]
) -> None:
    """Every parameter is the decoder's or the encoder's, and its name says whose."""
    vae = build(**changes)

    theta, phi = set(map(id, vae.theta)), set(map(id, vae.phi))

    named = {name: id(parameter) for name, parameter in vae.named_parameters()}
    assert theta == {i for name, i in named.items() if name.startswith("decoder.")}
    assert phi == {i for name, i in named.items() if name.startswith("encoder.")}
    assert theta | phi == set(named.values())
    assert not theta & phi
    assert len(vae.theta) + len(vae.phi) == len(named)


@NETWORKS
def test_every_tensor_of_a_checkpoint_belongs_to_a_side(
    build: Build, changes: dict[str, object]
) -> None:
    """The names of weights and buffers start with `encoder.` or `decoder.`."""
    vae = build(**changes)

    names = list(vae.state_dict())

    parts = ("encoder.", "decoder.", "standardization.")
    assert all(name.startswith(parts) for name in names)


def test_shift_and_scale_are_not_trained(config: Config) -> None:
    """What was measured on the data is state, but no parameter."""
    vae = empty(config)

    buffers = {name for name, _ in vae.named_buffers()}

    assert buffers == {"standardization.shift", "standardization.scale"}
    assert buffers <= vae.state_dict().keys()


def test_a_seed_decides_every_weight(config: Config) -> None:
    """The same seed gives the same bits, another seed other ones."""
    first, again, other = (initial_vae(config, seed=seed) for seed in (3, 3, 4))

    for name, weight in first.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
        if name.endswith(".weight"):
            assert not (weight == other.state_dict()[name]).any()


def test_initialization_and_the_global_generator_ignore_each_other(
    config: Config,
) -> None:
    """Weights do not depend on torch's global seed, nor do they use it up."""
    torch.manual_seed(1)
    first = initial_vae(config, seed=3)
    torch.manual_seed(2)
    state = torch.get_rng_state()

    second = initial_vae(config, seed=3)

    assert torch.equal(torch.get_rng_state(), state)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name])


def test_weights_start_as_glorot_and_bengio_say(config: Config) -> None:
    """They are uniform within sqrt(6 / (fan in + fan out)), and biases are zero."""
    vae = initial_vae(config, seed=0)

    for module in vae.modules():
        if isinstance(module, nn.Linear):
            limit = math.sqrt(6 / (module.in_features + module.out_features))
            weight = module.weight
            assert limit * 0.9 < weight.abs().max() <= limit
            # Five standard errors of a uniform's mean and mean square.
            error = 5 * limit / math.sqrt(weight.numel())
            assert weight.mean().abs() < error * math.sqrt(1 / 3)
            square = weight.square().mean()
            assert (square - limit**2 / 3).abs() < error * limit * math.sqrt(4 / 45)
            assert not module.bias.any()


def test_a_fresh_standardization_is_the_identity(config: Config) -> None:
    """Before it is measured, shift is 0 and scale is 1, not what memory held."""
    vae = initial_vae(config, seed=0)

    assert vae.units is not None
    assert (vae.units.shift == np.zeros(3000)).all()
    assert (vae.units.scale == np.ones(3000)).all()


def test_an_empty_vae_holds_no_numbers(config: Config) -> None:
    """It has the names, shapes and dtypes of a real one, and no storage."""
    hollow, real = empty(config).state_dict(), initial_vae(config, seed=0).state_dict()

    assert hollow.keys() == real.keys()
    for name, tensor in hollow.items():
        assert tensor.is_meta
        assert (tensor.shape, tensor.dtype) == (real[name].shape, real[name].dtype)


def test_the_encoder_and_the_decoder_depend_on_their_own_parameters(
    build: Build,
) -> None:
    """The q(z|x) of a datapoint moves with phi alone, p(x|z) with theta alone."""
    vae = build()
    x, z = torch.ones(1, 6).double(), torch.ones(1, 3).double()

    q_z, p_x = vae.encode(x), vae.decode(z)

    by_phi = torch.autograd.grad(
        (q_z.mu + q_z.log_var).sum(), vae.phi + vae.theta, allow_unused=True
    )
    by_theta = torch.autograd.grad(
        p_x.log_prob(x).sum(), vae.theta + vae.phi, allow_unused=True
    )
    for gradients, n in ((by_phi, len(vae.phi)), (by_theta, len(vae.theta))):
        moved = [gradient is not None for gradient in gradients]
        assert moved == [True] * n + [False] * (len(moved) - n)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_joint_density_is_likelihood_times_prior(
    build: Build, likelihood: str
) -> None:
    """Log p(x, z) = log p(x|z) + log N(z; 0, I), for N examples and K draws."""
    vae = build(likelihood=likelihood)
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(2, (4, 6), generator=generator).double()
    z = torch.randn(5, 4, 3, generator=generator, dtype=torch.float64)

    log_joint = vae.log_joint(x, z)

    prior: Distribution = Normal(torch.zeros(3).double(), 1)
    log_p_z: Tensor = prior.log_prob(z)
    expected = vae.decode(z).log_prob(x) + log_p_z.sum(dim=2)
    torch.testing.assert_close(log_joint, expected)


def test_the_joint_density_is_summed_in_float64(build: Build) -> None:
    """In float32 its error is that of single terms, not of a sum of 20,000."""
    vae = build(data_shape=(20_000,))
    x = (torch.arange(20_000) % 2)[None].double()
    z = torch.ones(1, 3).double()
    exact = vae.log_joint(x, z)

    rounded = vae.float().log_joint(x.float(), z)

    assert rounded.dtype == torch.float64
    # 2e-8 of -1.4e4 nats; a sum in float32 is good for 1e-7 of it at best.
    torch.testing.assert_close(rounded, exact, rtol=2e-8, atol=0)
