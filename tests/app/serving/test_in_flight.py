"""Clients that go away while they wait cost no further compute."""

from pathlib import Path

from tests.app.departed import ask_and_leave
from tests.app.long_request import LONG_BODY
from tests.app.served import Served


def test_a_departed_client_ends_its_computation(checkpoints: Path) -> None:
    """The request of a client that leaves is cancelled, and its rows are dropped."""
    with Served(checkpoints / "bernoulli", max_work=1 << 40) as served:
        sent = ask_and_leave(served, "/elbo", LONG_BODY)
        after = served.get("/metrics").text
        answer = served.post("/elbo", {"x": [[0] * 16]})

    assert sent == []
    assert 'vae_requests_total{route="/elbo",status="499"} 1.0' in after
    assert answer.status_code == 200
