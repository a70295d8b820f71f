"""The sections of `config.json` that say what p(z) is."""

from typing import Annotated, Literal

from pydantic import Field

from model.section import Section

MAX_COMPONENTS = 4096


class StandardNormalConfig(Section):
    """p(z) = N(0, I), as in AEVB."""

    kind: Literal["standard_normal"]


NComponents = Annotated[int, Field(ge=1, le=MAX_COMPONENTS)]


class GaussianMixtureConfig(Section):
    """p(z) is a mixture of C diagonal Gaussians with learned parameters."""

    kind: Literal["gaussian_mixture"]
    n_components: NComponents


class Vamp(Section):
    """p(z) = 1/C sum_c q(z|u_c) with learned u_c (Tomczak & Welling 2018)."""

    kind: Literal["vamp"]
    n_components: NComponents


PriorConfig = Annotated[
    StandardNormalConfig | GaussianMixtureConfig | Vamp, Field(discriminator="kind")
]
