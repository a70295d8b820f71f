"""
The weights of format version 1, converted to those of the current version.

A model of standardized data had shift and scale twice, in encoder and decoder, as
float32. They become float64, and the map moves out of the networks: the same map with
less rounding, and one way to compute for all formats.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.config import Config
from model.vae import VAE

_SIDES = ("encoder", "decoder")
# Twice the rounding of a float32, for x and for the mean of p(x|z), with room for
# several standard deviations between them.
_ROUNDING = 1e-6


def convert(weights: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    """
    Return weights as the current version has them.

    Raises:
        ValueError: Encoder and decoder have different units.
    """
    found = dict(weights)
    if config.format_version > 1 or not config.has_units:
        return found
    for name in ("shift", "scale"):
        both = [found.pop(f"{side}.standardization.{name}", None) for side in _SIDES]
        if both[0] is None or both[1] is None:
            continue  # missing, as the check of the names will say
        if not torch.equal(both[0], both[1]):
            raise ValueError(
                f"expected one standardization.{name} in encoder and decoder, got two"
            )
        found[f"standardization.{name}"] = both[0].double()
    return found


def rounding(vae: VAE, x: NDArray[np.floating]) -> NDArray[np.float64]:
    """
    Return how far rounding may have moved the ELBO of rows, (n, D), in version 1; (n,).

    It rounded to float32 in data units, which costs precision where the values are
    large compared with their spread.
    """
    units, floor = vae.units, vae.config.likelihood.sigma_floor
    if vae.config.format_version > 1 or units is None or floor is None:
        return np.zeros(len(x))
    size = (np.abs(x) + np.abs(units.shift)) / (units.scale * floor)
    found: NDArray[np.float64] = _ROUNDING * size.sum(axis=1)
    return found
