"""The likelihood is chosen by the values, with a reason."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model import data
from model.train.likelihood_choice import choose_likelihood
from model.train.options import TrainOptions

DRAW = np.random.default_rng(0)
INK = np.where(DRAW.random((40, 6, 6)) < 0.1, DRAW.random((40, 6, 6)), 0)
PHOTO = 0.2 + 0.6 * DRAW.random((40, 6, 6))
CASES = {
    "bits": ((DRAW.random((40, 5)) < 0.5).astype(float), "bernoulli", "0 or 1"),
    "a table in [0, 1]": (DRAW.random((40, 5)), "gaussian", "a table of values in"),
    "mostly zeros": (INK.reshape(40, -1), "gaussian", "a table of values in"),
    "reals": (DRAW.normal(size=(40, 5)), "gaussian", "real numbers"),
    "above 1": (1.5 * INK, "gaussian", "real numbers"),
    "ink": ((255 * INK).astype(np.uint8), "bernoulli", "near black or white"),
    "ink as floats": (INK, "bernoulli", "near black or white"),
    "photographs": ((255 * PHOTO).astype(np.uint8), "gaussian", "only 0%"),
    "color": (
        (255 * np.stack([INK] * 3, axis=-1)).astype(np.uint8),
        "gaussian",
        "color images",
    ),
}


@pytest.mark.parametrize(("x", "likelihood", "reason"), CASES.values(), ids=CASES)
def test_the_values_choose_the_likelihood(
    tmp_path: Path, x: NDArray[np.generic], likelihood: str, reason: str
) -> None:
    """Coin flips only for bits, and for images of ink."""
    np.save(tmp_path / "x.npy", x)

    chosen = choose_likelihood(data.load(str(tmp_path / "x.npy")), TrainOptions())

    assert chosen.name == likelihood
    assert reason in chosen.reason


def test_who_asks_for_binarization_gets_a_bernoulli(tmp_path: Path) -> None:
    """The option says enough."""
    np.save(tmp_path / "x.npy", CASES["a table in [0, 1]"][0])
    options = TrainOptions(binarization="threshold")

    chosen = choose_likelihood(data.load(str(tmp_path / "x.npy")), options)

    assert chosen == ("bernoulli", "--binarization threshold")
