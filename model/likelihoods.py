"""The families of p(x|z) by their names in `config.json`."""

from collections.abc import Mapping
from types import MappingProxyType

from model.distributions import Bernoulli, ContinuousBernoulli, Gaussian, Likelihood
from model.tables.likelihood import Table

LIKELIHOODS: Mapping[str, type[Likelihood]] = MappingProxyType(
    {
        family.kind: family
        for family in (Bernoulli, ContinuousBernoulli, Gaussian, Table)
    }
)
