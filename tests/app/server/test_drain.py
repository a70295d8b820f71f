"""SIGTERM under load: nothing that was taken is lost, and the process ends well."""

import http.client
import json
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import plain_http
from tests.app.long_request import LONG
from tests.app.processes import SECONDS, process, until
from tests.app.raw_http import Target, assert_refused, parse, received
from tests.app.serving.test_swap_load import raw

BODY = json.dumps({"x": [[0.5] * 16]})
HEADERS = {"content-type": "application/json"}
N_CLIENTS = 16
DELAY = 1.0

pytestmark = pytest.mark.slow("starts processes")


class Clients:
    """Clients on keep-alive connections that ask until they are refused."""

    def __init__(self, address: str) -> None:
        self._at = address.removeprefix("http://")
        self.outcomes: Counter[str] = Counter()
        self.bodies: set[bytes] = set()
        self.last: list[tuple[str | None, dict[str, object]]] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(N_CLIENTS)]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Wait until all have been refused."""
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._at, timeout=SECONDS)
        status = 200
        try:
            while status == 200:
                # It connects again by itself where an answer closed the connection.
                connection.request("POST", "/encode", BODY, HEADERS)
                answer = connection.getresponse()
                status, body = answer.status, answer.read()
                self.outcomes[str(status)] += 1
                if status == 200:
                    self.bodies.add(body)
                else:
                    self.last.append((answer.getheader("connection"), json.loads(body)))
        except ConnectionRefusedError:  # it came after the socket was closed
            self.outcomes["late"] += 1
        except (OSError, http.client.HTTPException) as error:
            self.outcomes[repr(error)] += 1
        finally:
            connection.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_request_is_lost(checkpoints: Path, workers: str) -> None:
    """
    16 clients that ask without a pause see answers, and then a refusal each.

    One that the machine has kept from asking for half a second may find the socket
    closed, which loses no request.
    """
    settings = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_DRAIN_DELAY": str(DELAY),
        "VAE_WORKERS": workers,
    }
    with process(settings) as (address, running):
        clients = Clients(address)
        until(lambda: clients.outcomes["200"] > 10 * N_CLIENTS)
        running.send_signal(signal.SIGTERM)
        started = time.monotonic()
        clients.wait()
        assert running.wait(SECONDS) == 0
        seconds = time.monotonic() - started

    assert clients.outcomes.keys() - {"late"} == {"200", "503"}, clients.outcomes
    assert seconds >= DELAY
    assert len(clients.bodies) == 1
    assert len(clients.last) + clients.outcomes["late"] == N_CLIENTS
    assert {connection for connection, _ in clients.last} == {"close"}
    assert {problem["title"] for _, problem in clients.last} == {"Service Unavailable"}


def test_it_says_that_it_leaves_and_still_answers(checkpoints: Path) -> None:
    """Until the delay is over requests are answered; `/readyz` warns at once."""
    settings = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_DRAIN_DELAY": "600",
    }
    with (
        process(settings) as (address, running),
        plain_http.Client(base_url=address, timeout=SECONDS) as ask,
    ):
        before = ask.get("/readyz")
        running.send_signal(signal.SIGTERM)
        until(lambda: ask.get("/readyz").status_code == 503)
        ready = ask.get("/readyz")
        answer = ask.post("/encode", content=BODY, headers=HEADERS)
        alive = ask.get("/livez")
        running.send_signal(signal.SIGTERM)  # which ends the delay
        assert running.wait(SECONDS) == 0

    assert before.status_code == 200
    assert (ready.status_code, ready.json()["status"]) == (503, 503)
    assert "retry-after" in ready.headers
    assert (answer.status_code, alive.status_code) == (200, 200)
    assert answer.headers["connection"] == alive.headers["connection"] == "close"


def test_nobody_waits_for_workers_that_finish(checkpoints: Path) -> None:
    """While workers end what they have taken, who connects is refused, not kept."""
    settings = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_WORKERS": "2",
        "VAE_BODY_TIMEOUT": "600",
        "VAE_DRAIN_TIMEOUT": "600",
    }
    asked = raw("POST", "/encode", json.loads(BODY))

    with process(settings) as (address, running):
        with Target(address, running.pid).connection() as sending:
            sending.sendall(asked[:-1])
            # Both workers together: this request, and the one that asks for this.
            until(lambda: sum(n_in_flight(address)) == 2)
            running.send_signal(signal.SIGTERM)
            until(lambda: is_refused(address))
            is_served = running.poll() is None
            sending.sendall(asked[-1:])
            [answer] = parse(received(sending))
        assert running.wait(SECONDS) == 0

    assert is_served
    assert answer.status == 200


def test_a_second_sigterm_is_not_patient(checkpoints: Path) -> None:
    """Asked twice to end, it does so at once."""
    settings = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_DRAIN_DELAY": "600",
    }
    with process(settings) as (address, running):
        running.send_signal(signal.SIGTERM)
        until(
            lambda: (
                plain_http.get(f"{address}/readyz", timeout=SECONDS).status_code == 503
            )
        )
        running.send_signal(signal.SIGTERM)
        assert running.wait(SECONDS) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_ctrl_c_ends_requests_too(checkpoints: Path, workers: str) -> None:
    """They get a 503 and a line of the access log; nothing is an error."""
    settings = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_DRAIN_TIMEOUT": "600",
        "VAE_WORKERS": workers,
        "VAE_MAX_WORK": str(1 << 40),
        "VAE_ACCESS_LOG": "true",
    }
    with process(settings, stderr=subprocess.PIPE) as (address, running):
        with Target(address, running.pid).connection() as waiting:
            waiting.sendall(raw("POST", "/elbo", LONG))
            until(lambda: sum(n_in_flight(address)) == 2)
            running.send_signal(signal.SIGINT)
            until(lambda: is_refused(address))
            is_patient = running.poll() is None
            running.send_signal(signal.SIGINT)
            answer = parse(received(waiting))
        log, errors = running.communicate(timeout=SECONDS)

    problem = assert_refused(answer, 503)
    assert is_patient
    assert running.returncode == 0
    assert "ERROR" not in errors
    assert f'"request_id":"{problem["request_id"]}"' in log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_end_of_the_drain_is_a_503(checkpoints: Path, workers: str) -> None:
    """What is still computed or sent then gets a problem, or is cut; one line each."""
    settings = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_DRAIN_TIMEOUT": "1",
        "VAE_WORKERS": workers,
        "VAE_MAX_WORK": str(1 << 40),
        "VAE_ACCESS_LOG": "true",
        "VAE_IDLE_TIMEOUT": "600",
    }
    # A part of it: 16 of the whole would be more rows than a queue takes.
    computing = raw("POST", "/elbo", {**LONG, "x": LONG["x"][:2000]})
    n_computing = 16
    sending = b"GET /sample?n=16384 HTTP/1.1\r\nHost: a\r\n\r\n" * 30
    with process(settings, stderr=subprocess.PIPE) as (address, running):
        target = Target(address, running.pid)
        with ExitStack() as stack:
            slow = stack.enter_context(target.connection())
            slow.sendall(sending)
            assert slow.recv(12) == b"HTTP/1.1 200"
            waiting = [
                stack.enter_context(target.connection()) for _ in range(n_computing)
            ]
            for connected in waiting:
                connected.sendall(computing)
            while sum(n_in_flight(address)) < n_computing + 2:
                assert running.poll() is None
            running.send_signal(signal.SIGTERM)
            answers = [parse(received(connected)) for connected in waiting]
            cut = received(slow)
        log, errors = running.communicate(timeout=SECONDS)

    for (answer,) in answers:
        problem = assert_refused([answer], 503)
        assert "retry-after" in answer.headers
        assert problem["request_id"] in log
    assert not cut.endswith(b"\r\n0\r\n\r\n")
    assert running.returncode == 0
    assert "Traceback" not in errors
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    ended = Counter(line["route"] for line in lines if line["status"] == 503)
    assert ended == {"/elbo": n_computing, "/sample": 1}


def is_refused(address: str) -> bool:
    """Return whether no process listens there."""
    host, port = address.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=SECONDS).close()
    except ConnectionError:
        return True
    return False


def n_in_flight(address: str) -> list[float]:
    """Ask how many requests are in flight, this one among them."""
    text = plain_http.get(f"{address}/metrics", timeout=SECONDS).text
    return [
        float(line.split()[-1])
        for line in text.splitlines()
        if line.startswith("vae_requests_in_flight")
    ]
