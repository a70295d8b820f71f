"""The learned parameters of the prior p(z), named `prior.*` in a checkpoint."""

import math
from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor, nn

from model.config import Config
from model.networks import Encoder
from model.prior import GaussianMixture, Prior, StandardNormal
from model.prior_config import GaussianMixtureConfig


class PriorWeights(nn.Module, ABC):
    """The parameters of p(z), which are part of theta."""

    @abstractmethod
    def forward(self, encoder: Encoder) -> Prior:
        """Return p(z)."""

    @abstractmethod
    def reset(self, generator: torch.Generator) -> None:
        """Initialize the parameters."""

    def settle(self, encoder: Encoder) -> None:
        """Cache what p(z) needs of the encoder, whose weights no longer change."""

    def unsettle(self) -> None:
        """Drop what `settle` has cached."""


@final
class NoWeights(PriorWeights):
    """The standard normal has no parameters."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self._p_z = StandardNormal(config.latent_dim)

    def forward(self, encoder: Encoder) -> Prior:
        return self._p_z

    def reset(self, generator: torch.Generator) -> None:
        """Do nothing."""


@final
class MixtureWeights(PriorWeights):
    """A Gaussian mixture with free weights, means and variances."""

    def __init__(self, config: Config, n_components: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.empty(n_components))
        self.mean = nn.Parameter(torch.empty(n_components, config.latent_dim))
        self.log_var = nn.Parameter(torch.empty(n_components, config.latent_dim))

    def forward(self, encoder: Encoder) -> Prior:
        log_weights = torch.log_softmax(self.logits, dim=0)
        return GaussianMixture(log_weights, self.mean, self.log_var)

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """
        Initialize so that p(z) is N(0, I) in expectation.

        The means have variance 1/2, and so has each component.
        """
        self.logits.zero_()
        self.mean.normal_(std=math.sqrt(0.5), generator=generator)
        self.log_var.fill_(math.log(0.5))


@final
class VampWeights(PriorWeights):
    """
    p(z) = 1/C sum_c q(z|u_c), the VampPrior of Tomczak & Welling (2018), eq. 9.

    The pseudo-inputs u_c are parameters in the encoder's units, those of standardized
    data. They may be any real numbers, since the encoder is defined for all of them.
    p(z) thus depends on phi too. In evaluation mode the components are computed once.
    """

    mu: Tensor | None
    log_var: Tensor | None

    def __init__(self, config: Config, n_components: int) -> None:
        super().__init__()
        self.pseudo_inputs = nn.Parameter(torch.empty(n_components, config.n_features))
        self.unsettle()

    def forward(self, encoder: Encoder) -> Prior:
        mu, log_var = self.mu, self.log_var
        if mu is None or log_var is None:
            mu, log_var = encoder.layers(self.pseudo_inputs)
        equal = torch.zeros_like(mu[:, 0]) - math.log(len(mu))
        return GaussianMixture(equal, mu, log_var)

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw the pseudo-inputs from U(0, 1); training replaces them by data rows."""
        self.pseudo_inputs.uniform_(generator=generator)

    @torch.no_grad()
    def settle(self, encoder: Encoder) -> None:
        """Encode the pseudo-inputs and keep the result."""
        for name, head in zip(
            ("mu", "log_var"), encoder.layers(self.pseudo_inputs), strict=True
        ):
            self.register_buffer(name, head, persistent=False)

    def unsettle(self) -> None:
        """Encode the pseudo-inputs again at every use."""
        self.register_buffer("mu", None, persistent=False)
        self.register_buffer("log_var", None, persistent=False)


def prior_weights(config: Config) -> PriorWeights:
    """Return uninitialized parameters for the prior of a configuration."""
    prior = config.prior
    if prior.kind == "standard_normal":
        return NoWeights(config)
    if isinstance(prior, GaussianMixtureConfig):
        return MixtureWeights(config, prior.n_components)
    return VampWeights(config, prior.n_components)
