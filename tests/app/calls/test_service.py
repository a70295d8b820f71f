"""The routes beside the operations, and what every answer has."""

import re
from pathlib import Path

import pytest

from app.calls.model import PHI, THETA
from tests.app.served import Served, assert_problem


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
    """Its ETag is strong; asked again with it, the answer is an empty 304."""
    etag = bernoulli.get("/model").headers["etag"]

    again = bernoulli.get("/model", headers={"if-none-match": prefix + etag})
    other = bernoulli.get("/model", headers={"if-none-match": '"other"'})

    assert re.fullmatch(r'"[0-9a-f]{64}"', etag)
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["etag"] == etag
    assert other.status_code == 200


@pytest.mark.parametrize("path", ["/model", "/livez", "/readyz", "/sample?seed=1"])
def test_head_is_get_without_the_body(bernoulli: Served, path: str) -> None:
    """HEAD has the length of GET and no content."""
    get, head = bernoulli.get(path), bernoulli.request("HEAD", path)

    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(get.content))


def test_readiness_follows_the_life_of_the_service(checkpoints: Path) -> None:
    """Not ready before start-up and after shutdown; alive all the time."""
    served = Served(checkpoints / "bernoulli")

    def phase() -> tuple[int, int, int]:
        asked = [("GET", "/readyz"), ("POST", "/sample"), ("GET", "/livez")]
        ready, sample, live = served.together((*one, {}) for one in asked)
        if ready.status_code != 200:
            for refused in (ready, sample):
                assert_problem(refused, 503)
                assert refused.headers["retry-after"] == "1"
        return ready.status_code, sample.status_code, live.status_code

    with served.stopped():
        before = phase()
    with served:
        during = phase()
    with served.stopped():
        after = phase()

    assert before == after == (503, 503, 200)
    assert during == (200, 200, 200)


def test_every_answer_has_a_request_id(bernoulli: Served) -> None:
    """A fresh one each time, or the client's own if it is a plain one."""
    paths = ("/sample", "/model", "/nope")
    fresh = [bernoulli.get(path).headers["x-request-id"] for path in paths]

    for path in paths:
        kept = bernoulli.get(path, headers={"x-request-id": "my-id.1"})
        replaced = bernoulli.get(path, headers={"x-request-id": "a" * 65})

        assert kept.headers["x-request-id"] == "my-id.1"
        assert replaced.headers["x-request-id"] != "a" * 65
    assert len(set(fresh)) == 3


def test_metrics_count_requests_and_rows(checkpoints: Path) -> None:
    """Routes are the service's own; a path that came is never a label."""
    with Served(checkpoints / "bernoulli") as served:
        served.post("/sample", {"n": 3})
        served.post("/sample", {"n": 0})
        served.get("/model")
        served.get("/nope")

        lines = served.get("/metrics").text.splitlines()

    assert 'vae_requests_total{route="/sample",status="200"} 1.0' in lines
    assert 'vae_requests_total{route="/sample",status="422"} 1.0' in lines
    assert 'vae_requests_total{route="/model",status="200"} 1.0' in lines
    assert 'vae_requests_total{route="other",status="404"} 1.0' in lines
    assert 'vae_rows_total{route="/sample"} 3.0' in lines
    assert 'vae_request_duration_seconds_count{route="/sample"} 2.0' in lines
    assert not any("nope" in line for line in lines)


@pytest.mark.parametrize("path", ["/livez/", "/encode/", "/docs/"])
def test_a_path_is_not_redirected_to_another(bernoulli: Served, path: str) -> None:
    """A redirect would be built from Host, and lead to http where TLS is in front."""
    answer = bernoulli.get(path, headers={"host": "evil.example"})

    assert_problem(answer, 404)
    assert "location" not in answer.headers
