"""What the latents are used for: of how many examples, and with what errors."""

from collections.abc import Callable

import pytest
import torch

from model.train.latent_use import MAX_EXAMPLES, latent_use
from model.vae import VAE
from tests.model.ppca import random


def test_a_single_example_has_no_standard_error(build: Callable[..., VAE]) -> None:
    """It is null, not NaN, which JSON has not."""
    vae = build().requires_grad_(False)

    use = latent_use(
        vae, torch.zeros(1, 6).double(), split="test", binarization="none", noise_seed=3
    )

    assert use.mutual_information_standard_error is None
    assert use.kl_to_prior_standard_error is None
    assert use.n_examples == 1
    assert (use.split, use.binarization, use.noise_seed) == ("test", "none", 3)


@pytest.mark.slow("weighs many examples")
def test_no_more_examples_than_can_be_weighed_are_taken(
    build: Callable[..., VAE],
) -> None:
    """Evenly from all of them; both parts add up to the KL, within their errors."""
    vae = build().requires_grad_(False)
    x = (random(MAX_EXAMPLES + 100, 6) > 0).double()

    use = latent_use(vae, x, split="test", binarization="none", noise_seed=3)

    assert use.n_examples == MAX_EXAMPLES
    assert use.mutual_information_standard_error is not None
    assert use.kl_to_prior_standard_error is not None
    total = use.mutual_information + use.kl_to_prior
    error = use.mutual_information_standard_error + use.kl_to_prior_standard_error
    assert use.kl_per_dim is not None
    assert abs(total - sum(use.kl_per_dim)) < 5 * error
    assert len(use.active) == 3
