"""The distributions of a table's cells through both clients."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import plain_http
from tests.app.explorer.explored import ROOT
from tests.app.live import serving
from tests.client.conftest import Ask
from tests.client.vae_client.test_frames import Frame
from vae_client import RequestError

UNSEEN: dict[str, dict[str, Any]] = {
    "encode": {},
    "elbo": {"seed": 1},
    "reconstruct": {"n_samples": 2, "seed": 1},
    "loglik": {"n_samples": 8, "seed": 1},
    "impute": {"n_draws": 64, "seed": 1},
    "traverse": {"n": 3, "dims": [0]},
}
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


@pytest.mark.slow("starts a service")
@pytest.mark.parametrize("verb", UNSEEN)
def test_a_category_that_training_has_not_seen_is_accepted_on_request(
    penguins: str, ask: Ask, verb: str
) -> None:
    """With the result that the service has for the same words."""
    rows = {"species": "Emperor", "sex": "male", "bill_length_mm": 50.0}
    path, options = f"{penguins}/{verb}", {**UNSEEN[verb], "unknown": "unseen"}
    frame = Frame(**{name: [value] for name, value in rows.items()})
    wanted = plain_http.post(path, json={"x": [rows], **options}, timeout=60).json()
    [name] = {"mu", "elbo", "x", "log_p_x", "mean"} & wanted.keys()

    with pytest.warns(UserWarning, match="taken as missing"):
        found = (
            ask(penguins, verb, x=frame, **options)
            if verb == "traverse"
            else ask(penguins, verb, frame, **options)
        )

    values = np.array(wanted[name], np.float64)
    np.testing.assert_allclose(getattr(found, name), values, rtol=1e-6)
    with (
        pytest.warns(UserWarning, match="taken as missing"),
        pytest.raises(ValueError, match="unknown category 'Emperor'"),
    ):
        ask(penguins, verb, x=frame, **UNSEEN[verb])


@pytest.mark.slow("starts a service")
def test_the_service_checks_what_unknown_is(penguins: str, ask: Ask) -> None:
    """As any option: there are two choices."""
    with pytest.raises(RequestError, match="/unknown: expected 'refuse' or 'unseen'"):
        ask(penguins, "encode", np.full((1, 8), np.nan), unknown="ignore")
