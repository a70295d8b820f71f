"""`/readyz` and `/livez` follow the life of the service."""

from pathlib import Path

from tests.app.served import Served, assert_problem


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
