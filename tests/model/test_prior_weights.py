"""What is learned of p(z) makes the p(z) that its configuration says."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from model.prior import GaussianMixture, StandardNormal
from model.vae import VAE, initial_vae
from tests.model.ppca import random

Build = Callable[..., VAE]

VAMP = {"kind": "vamp", "n_components": 4}
MIXTURE = {"kind": "gaussian_mixture", "n_components": 4}
CPU = torch.device("cpu")


def mixture_of(vae: VAE) -> GaussianMixture:
    """Return a learned prior."""
    p_z = vae.p_z
    assert isinstance(p_z, GaussianMixture)
    return p_z


def test_the_standard_normal_has_no_weights(build: Build) -> None:
    """And a checkpoint of it no name that starts with `prior.`."""
    vae = build()

    assert vae.p_z == StandardNormal(3)
    assert {name.split(".")[0] for name in vae.state_dict()} == {"encoder", "decoder"}


def test_a_mixtures_weights_are_its_parameters(build: Build) -> None:
    """Logits become probabilities, the rest stays; all of it belongs to theta."""
    vae = build(prior=MIXTURE)

    p_z = mixture_of(vae)

    torch.testing.assert_close(p_z.log_weights.exp().sum().item(), 1.0)
    log_ratio = p_z.log_weights - p_z.log_weights[0]
    logits = vae.state_dict()["prior.logits"]
    torch.testing.assert_close(log_ratio, logits - logits[0])
    assert p_z.mu is vae.get_parameter("prior.mean")
    assert p_z.log_var is vae.get_parameter("prior.log_var")
    assert len(vae.theta) == len(list(vae.decoder.parameters())) + 3
    assert len(vae.phi) == len(list(vae.encoder.parameters()))


@pytest.mark.parametrize("standardized", [False, True])
def test_a_vamp_prior_is_the_mean_of_q_at_its_pseudo_inputs(
    build: Build, *, standardized: bool
) -> None:
    """p(z) = 1/C sum_c q(z|u_c), u_c in the units of the encoder's layers."""
    vae = build(prior=VAMP, standardized=standardized)
    z = random(7, 3)

    log_p = vae.p_z.log_prob(z)

    u: Tensor = vae.state_dict()["prior.pseudo_inputs"]
    if standardized:
        own = vae.encoder.standardization
        assert own is not None
        u = own.shift + own.scale * u
    q_z = vae.encode(u)
    wanted = q_z.log_prob(z[:, None]).logsumexp(dim=1) - math.log(4)
    torch.testing.assert_close(log_p, wanted)


def test_a_vamp_prior_follows_the_encoder_in_training(build: Build) -> None:
    """Its density has gradients in phi and in the pseudo-inputs."""
    vae = build(prior=VAMP)

    vae.p_z.log_prob(random(7, 3)).sum().backward()  # type: ignore[no-untyped-call]

    for name in ("encoder.mu.weight", "prior.pseudo_inputs"):
        gradient = vae.get_parameter(name).grad
        assert gradient is not None
        assert gradient.abs().sum() > 0


def test_in_evaluation_mode_the_components_are_computed_once(build: Build) -> None:
    """The density is the same, in every dtype; training mode computes afresh again."""
    vae, z = build(prior=VAMP), random(7, 3)
    names, before = set(vae.state_dict()), vae.p_z.log_prob(z)

    vae.requires_grad_(False).eval()
    settled = mixture_of(vae)

    assert mixture_of(vae).mu is settled.mu
    assert set(vae.state_dict()) == names
    torch.testing.assert_close(vae.p_z.log_prob(z), before)
    torch.testing.assert_close(
        vae.float().p_z.log_prob(z), before, rtol=1e-4, atol=1e-4
    )
    assert mixture_of(vae.double()).mu.dtype == torch.float64
    vae.train().get_parameter("prior.pseudo_inputs").add_(1)
    assert (vae.p_z.log_prob(z) != before).all()


@pytest.mark.parametrize("prior", [VAMP, MIXTURE])
def test_fresh_weights_depend_on_the_seed_alone(
    build: Build, prior: dict[str, object]
) -> None:
    """And those of encoder and decoder are those under a standard normal prior."""
    config = build(prior=prior).config
    standard = initial_vae(build().config, seed=1).state_dict()

    ours, again = (initial_vae(config, seed=1).state_dict() for _ in range(2))

    for name, values in ours.items():
        assert values.equal(again[name])
        assert values.isfinite().all()
        if not name.startswith("prior."):
            assert values.equal(standard[name])


def test_a_fresh_mixture_is_the_standard_normal_in_expectation(build: Build) -> None:
    """Over the draws of its means, the moments of all of it are 0 and 1."""
    prior = {"kind": "gaussian_mixture", "n_components": 4000}
    config = build(latent_dim=2, prior=prior).config

    moments = initial_vae(config, seed=0).p_z.moments(CPU)

    torch.testing.assert_close(moments.mu, torch.zeros(2).double(), atol=0.05, rtol=0)
    torch.testing.assert_close(
        moments.log_var, torch.zeros(2).double(), atol=0.05, rtol=0
    )
