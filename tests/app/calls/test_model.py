"""`/model`: the card of what is served."""

import re

import pytest

from app.calls.model import PHI, THETA
from tests.app.served import Served


def test_the_card_says_what_is_served(bernoulli: Served) -> None:
    """Shapes, likelihood, theta and phi, limits, figures, origin."""
    card = bernoulli.get("/model").json()

    assert card["name"] == "bernoulli"
    assert card["sha256"] == bernoulli.checkpoint.sha256
    assert card["data_shape"] == [4, 4]
    assert card["latent_dim"] == 3
    assert card["likelihood"] == {
        "kind": "bernoulli",
        "support": "{0, 1}",
        "value_range": [0, 1],
    }
    assert card["binarization"] == "static"
    assert card["theta"] == {
        "n_parameters": (3 + 1) * 8 + (8 + 1) * 16,
        "what": THETA,
    }
    assert card["phi"] == {
        "n_parameters": (16 + 1) * 8 + 2 * (8 + 1) * 3,
        "what": PHI,
    }
    assert card["units"] == "nats"
    assert card["limits"]["max_rows"] == bernoulli.settings.max_rows
    assert "application/x-npy" in card["media_types"]["encode"]["request"]
    assert card["figures"][0]["value"] == -12.5
    assert card["latent_use"] is None
    assert card["provenance"]["dataset"] == "tiny"


@pytest.mark.parametrize("prefix", ["", 'W/"other", ', "W/"])
def test_the_card_is_fetched_once(bernoulli: Served, prefix: str) -> None:
    """Its ETag is strong; a request with it gets an empty 304."""
    etag = bernoulli.get("/model").headers["etag"]

    again = bernoulli.get("/model", headers={"if-none-match": prefix + etag})
    other = bernoulli.get("/model", headers={"if-none-match": '"other"'})

    assert re.fullmatch(r'"[0-9a-f]{64}"', etag)
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["etag"] == etag
    assert other.status_code == 200
