"""The likelihood of a part is a part of the likelihood."""

from collections.abc import Callable

import pytest
import torch

from model.inference.observed import (
    encode_part,
    known_values,
    masked_log_prob,
)
from model.vae import VAE
from tests.model.ppca import random, weight

Build = Callable[..., VAE]


@pytest.mark.parametrize(
    "likelihood", ["bernoulli", "continuous_bernoulli", "gaussian"]
)
def test_two_parts_make_the_whole(build: Build, likelihood: str) -> None:
    """Masked log densities of a mask and its complement add up to log p(x|z)."""
    vae = build(likelihood=likelihood).requires_grad_(False)
    x, mask = (random(4, 6) > 0).double(), random(4, 6, seed=1) > 0
    p_x = vae.decode(random(5, 4, 3, seed=2))

    parts = masked_log_prob(p_x, x, mask) + masked_log_prob(p_x, x, ~mask)

    torch.testing.assert_close(parts, p_x.log_prob(x))
    nothing = masked_log_prob(p_x, x, torch.zeros(4, 6).bool())
    assert torch.equal(nothing, torch.zeros(5, 4).double())


def test_the_encoder_sees_means_where_nothing_is_observed(build: Build) -> None:
    """Its q(z|x) is that of x with E[x|z] at the prior's mean filled in."""
    vae = build().requires_grad_(False)
    x, observed = (random(5, 6) > 0).double(), random(5, 6, seed=1) > 0
    filled = torch.where(observed, x, vae.decode(torch.zeros(3).double()).mean)

    q_z = encode_part(vae, known_values(vae, x, observed), observed)

    torch.testing.assert_close(q_z.mu, vae.encode(filled).mu)
    torch.testing.assert_close(q_z.log_var, vae.encode(filled).log_var)


def test_an_encoder_that_overflows_is_replaced_by_the_prior(build: Build) -> None:
    """Only in the rows where q is not finite."""
    vae = build(likelihood="gaussian").requires_grad_(False)
    x = torch.tensor([[1.0] * 6, [1e308] * 6]).double()
    weight(vae.encoder.get_submodule("torso.0")).fill_(10.0)
    weight(vae.encoder.mu).fill_(1e308)

    q_z = encode_part(vae, x, torch.ones(2, 6).bool())

    assert q_z.mu.isfinite().all()
    assert q_z.log_var.isfinite().all()
