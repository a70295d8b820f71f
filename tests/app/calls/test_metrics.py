"""`/metrics` counts what was asked."""

from pathlib import Path

from tests.app.served import Served


def test_metrics_count_requests_and_rows(checkpoints: Path) -> None:
    """Routes are the service's own; a path that came is never a label."""
    with Served(checkpoints / "bernoulli") as served:
        served.post("/sample", {"n": 3})
        served.post("/sample", {"n": 0})
        served.get("/model")
        served.get("/nope")

        lines = served.get("/metrics").text.splitlines()
        head = served.request("HEAD", "/metrics")

    assert 'vae_requests_total{route="/sample",status="200"} 1.0' in lines
    assert 'vae_requests_total{route="/sample",status="422"} 1.0' in lines
    assert 'vae_requests_total{route="/model",status="200"} 1.0' in lines
    assert 'vae_requests_total{route="other",status="404"} 1.0' in lines
    assert 'vae_rows_total{route="/sample"} 3.0' in lines
    assert 'vae_request_duration_seconds_count{route="/sample"} 2.0' in lines
    assert not any("nope" in line for line in lines)
    assert (head.status_code, head.content) == (200, b"")
