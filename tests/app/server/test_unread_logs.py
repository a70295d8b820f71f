"""A log that is not read delays neither requests nor the shutdown."""

import fcntl
import json
import signal
from pathlib import Path

import pytest

from tests import plain_http
from tests.app.processes import SECONDS, start, start_lines

N_REQUESTS = 400
PIPE_BYTES = 4096


@pytest.mark.slow("starts processes")
def test_requests_are_answered_while_nobody_reads_the_log(checkpoints: Path) -> None:
    """More of them than a pipe has room for lines; then SIGTERM ends the process."""
    variables = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_ACCESS_LOG": "true",
    }
    with start(variables) as running:
        assert running.stdout is not None
        fcntl.fcntl(running.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        *_, line = start_lines(running.stdout)
        address = line.removeprefix("listening on ")
        with plain_http.Client(base_url=address, timeout=SECONDS) as client:
            answers = [client.get("/sample?seed=1") for _ in range(N_REQUESTS)]
        running.send_signal(signal.SIGTERM)
        status = running.wait(SECONDS)
        lines = running.stdout.read().splitlines()

    assert {answer.status_code for answer in answers} == {200}
    assert status == 0
    assert 0 < len(lines) < N_REQUESTS  # the pipe was full
    assert json.loads(lines[0])["route"] == "/sample"
