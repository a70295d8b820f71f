"""The distributions of a table's cells through both clients."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.app.explorer.explored import ROOT, serving
from tests.client.conftest import Ask

LEVELS = ("species=Adelie", "species=Chinstrap", "species=Gentoo")


@pytest.fixture(scope="module")
def penguins() -> Iterator[str]:
    """Serve the released model of penguins, with few rows a request."""
    checkpoint: Path = ROOT / "released" / "penguins"
    with serving(checkpoint, max_rows=4) as address:
        yield address


@pytest.mark.slow("starts a service")
def test_decode_has_the_distributions_of_cells(penguins: str, ask: Ask) -> None:
    """With `parameters`, of rows in several requests, in the order of `levels`."""
    z = np.random.default_rng(0).standard_normal((6, 16))

    found = ask(penguins, "decode", z, parameters=True)
    plain = ask(penguins, "decode", z)
    model = ask(penguins, "model")

    assert np.array_equal(found.mean, plain.mean)
    assert plain.variance is plain.quantiles is plain.probabilities is None
    assert found.variance.shape == (6, 8)
    assert found.quantiles.shape == (6, 5, 8)
    assert np.isnan(found.quantiles[..., 0]).all()
    assert found.probabilities.shape == (6, len(model.levels))
    assert model.levels[:3] == LEVELS
    likely = found.probabilities[:, :3].argmax(axis=1)
    assert np.array_equal(likely, found.mean[:, 0])


@pytest.mark.slow("starts a service")
def test_draws_can_be_asked_for_without_missing_cells(penguins: str, ask: Ask) -> None:
    """Over several requests, with the values of the other draws."""
    gappy = ask(penguins, "sample", 6, seed=3, draw="sample").x

    whole = ask(penguins, "sample", 6, seed=3, draw="sample", complete=True).x

    assert np.isfinite(whole).all()
    assert np.array_equal(np.where(np.isnan(gappy), whole, gappy), whole)
