"""Which requests are retried, how often and when, and which are not."""

import os
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from tests.app.processes import SECONDS
from tests.app.served import Served
from tests.client.conftest import Ask
from tests.client.faulty import (
    Action,
    FaultyProxy,
    answer,
    cut,
    cut_in_the_middle,
    late,
    of_model,
    slow,
)
from tests.client.vae_client.asynchronous.test_client import BINARY, CLIENT, Rows
from vae_client import (
    Client,
    ConnectionFailedError,
    ModelChangedError,
    RequestError,
    ServerError,
    ServiceBusyError,
    TimedOutError,
    UnexpectedAnswerError,
)

PROBLEM = (
    b'{"type":"about:blank","title":"Too Many Requests","status":429,'
    b'"detail":"the queue is full","instance":"/sample","request_id":"r-1"}'
)
PROBLEM_TYPE = "application/problem+json"
FULL = answer(429, PROBLEM, content_type=PROBLEM_TYPE, retry_after="0")
FORKING = """
import os
import sys

from vae_client import Client

vae = Client(sys.argv[1])
vae.sample(1, seed=1)
child = os.fork()
vae.sample(1, seed=2) if child == 0 else os.waitpid(child, 0)
if child == 0:
    os._exit(0)
vae.sample(1, seed=3)
"""
HTML = answer(502, b"<h1>Bad Gateway</h1>", content_type="text/html")


@pytest.fixture
def unused() -> str:
    """Return an address of this machine that refuses connections."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    "failure",
    [cut, cut_in_the_middle, FULL, HTML, answer(503), answer(504)],
    ids=["cut", "cut in the middle", "429", "502", "503", "504"],
)
def test_temporary_failures_are_retried_twice(
    proxy: FaultyProxy, ask: Ask, failure: Action
) -> None:
    """The third try succeeds, and it is the first request again: the same seed."""
    proxy.actions.extend([failure, failure])

    sample = ask(proxy.url, "sample", 2, draw="sample")

    tries = proxy.targets("/sample")
    assert len(tries) == 3
    assert len(set(tries)) == 1
    assert f"seed={sample.seed}&" in tries[0]
    again = ask(proxy.url, "sample", 2, draw="sample", seed=sample.seed)
    assert np.array_equal(sample.x, again.x)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (cut, ConnectionFailedError),
        (FULL, ServiceBusyError),
        (HTML, ServerError),
        (answer(503), ServiceBusyError),
    ],
    ids=["cut", "429", "502", "503"],
)
def test_the_last_failure_is_raised(
    proxy: FaultyProxy, ask: Ask, failure: Action, error: type[Exception]
) -> None:
    """After three tries the caller gets the error of the third."""
    proxy.actions.extend([failure] * 3)

    with pytest.raises(error):
        ask(proxy.url, "sample")

    assert len(proxy.targets("/sample")) == 3


@pytest.mark.usefixtures("hurried")
def test_retries_can_be_turned_off(proxy: FaultyProxy, ask: Ask) -> None:
    """With n_retries of 0 every request is sent once."""
    proxy.actions.append(FULL)

    with pytest.raises(ServiceBusyError):
        ask(proxy.url, "sample", settings={"n_retries": 0})

    assert len(proxy.targets("/sample")) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 413, 422, 500, 501])
def test_lasting_failures_are_not_retried(
    proxy: FaultyProxy, ask: Ask, status: int
) -> None:
    """One request, and an error with the status and its family."""
    proxy.actions.append(answer(status))

    with pytest.raises(RequestError if status < 500 else ServerError) as refused:
        ask(proxy.url, "sample")

    assert refused.value.status == status
    assert len(proxy.targets("/sample")) == 1


@pytest.mark.slow("waits for a second, as Retry-After says")
def test_retry_after_is_waited_for(proxy: FaultyProxy, ask: Ask) -> None:
    """The second try comes no earlier than the service asked for."""
    proxy.actions.append(answer(503, retry_after="1"))

    ask(proxy.url, "sample")

    first, second = (a.at for a in proxy.arrivals if a.target != "/model")
    assert 1.0 <= second - first < 5.0


def test_a_long_retry_after_is_left_to_the_caller(proxy: FaultyProxy, ask: Ask) -> None:
    """The client does not wait more than 30 s; the error says how long."""
    proxy.actions.append(answer(429, retry_after="31"))

    with pytest.raises(ServiceBusyError) as refused:
        ask(proxy.url, "sample")

    assert refused.value.retry_after == 31.0
    assert len(proxy.targets("/sample")) == 1


def test_an_error_has_the_content_of_the_problem_document(
    proxy: FaultyProxy, ask: Ask
) -> None:
    """Status, title, detail and request id are those of the document."""
    proxy.actions.append(FULL)

    with pytest.raises(ServiceBusyError) as refused:
        ask(proxy.url, "sample", settings={"n_retries": 0})

    assert refused.value.request_id == "r-1"
    assert refused.value.detail == "the queue is full"
    said = "429 Too Many Requests: the queue is full (request r-1)"
    assert str(refused.value) == said


def test_a_date_in_retry_after_is_understood(proxy: FaultyProxy, ask: Ask) -> None:
    """Retry-After may be a date (RFC 9110, 10.2.3)."""
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    proxy.actions.append(answer(503, retry_after=at))

    with pytest.raises(ServiceBusyError) as refused:
        ask(proxy.url, "sample")

    assert refused.value.retry_after == pytest.approx(100, abs=5)


@pytest.mark.slow("waits")
def test_a_timeout_is_not_retried(proxy: FaultyProxy, ask: Ask) -> None:
    """The timeout is an error of its own, after one request."""
    proxy.actions.append(slow)

    with pytest.raises(TimedOutError, match="ReadTimeout"):
        ask(proxy.url, "sample", settings={"timeout": 0.3})

    assert len(proxy.targets("/sample")) == 1


@pytest.mark.parametrize(
    "strange",
    [
        answer(200, b"<h1>Welcome</h1>", content_type="text/html"),
        answer(200, b"\x08", content_type="application/vnd.safetensors"),
        answer(200, b"\2\0\0\0\0\0\0\0{}", content_type="application/vnd.safetensors"),
        answer(302, location="http://127.0.0.1:9/"),
        answer(404, b"<h1>Not Found</h1>", content_type="text/html"),
    ],
    ids=["html", "no safetensors", "no tensors", "redirect", "404"],
)
def test_an_answer_that_is_not_the_services_is_an_error(
    proxy: FaultyProxy, ask: Ask, strange: Action
) -> None:
    """The response of another program is not a result, and is not retried."""
    proxy.actions.append(strange)

    with pytest.raises(UnexpectedAnswerError, match=r"^expected "):
        ask(proxy.url, "sample")

    assert len(proxy.targets("/sample")) == 1


@pytest.mark.usefixtures("hurried")
def test_only_failed_pieces_are_retried(proxy: FaultyProxy, ask: Ask) -> None:
    """Of a split request only the pieces that failed are sent again."""
    x = np.random.default_rng(5).random((2000, 16))
    wanted = ask(proxy.url, "encode", x)
    n_whole = len(proxy.targets("/encode"))
    proxy.actions.extend([cut, answer(503)])

    got = ask(proxy.url, "encode", x)

    assert np.array_equal(got.mu, wanted.mu)
    assert len(proxy.targets("/encode")) == 2 * n_whole + 2


@pytest.mark.slow("waits between tries")
@pytest.mark.usefixtures("hurried")
def test_ten_thousand_rows_keep_their_order_through_every_fault(
    proxy: FaultyProxy, ask: Ask, whole: Served, gray: Rows
) -> None:
    """Pieces that are cut off, refused, or slower than the others stay in place."""
    asked = whole.post_raw("/encode", save({"x": gray}), BINARY)
    full = answer(429, PROBLEM, content_type=PROBLEM_TYPE, retry_after="1")
    proxy.actions.extend(
        [late(12), full, cut, answer(503), cut_in_the_middle, cut, answer(504)]
    )

    # One piece may meet all six.
    settings = {"n_concurrent": 3, "n_retries": 6}
    encoding = ask(proxy.url, "encode", gray, settings=settings)

    wanted = load(asked.content)
    assert np.array_equal(encoding.mu, wanted["mu"])
    assert np.array_equal(encoding.log_var, wanted["log_var"])
    assert len(proxy.targets("/encode")) == 15 + 6


@pytest.mark.parametrize(
    ("verb", "options"),
    [("encode", {}), ("elbo", {"seed": 1})],
)
def test_rows_of_two_models_are_not_joined(
    proxy: FaultyProxy, ask: Ask, verb: str, options: dict[str, Any]
) -> None:
    """If the service loads another model between the pieces of one call."""
    proxy.actions.append(of_model("0123456789ab"))

    with pytest.raises(ModelChangedError, match=r"got .*; call again") as changed:
        ask(proxy.url, verb, np.zeros((1500, 16)), **options)

    assert "0123456789ab" in str(changed.value)


def test_the_limits_of_a_new_model_are_asked_for(proxy: FaultyProxy) -> None:
    """After a call in which the model changed; what one model answers is a result."""
    proxy.actions.append(of_model("0123456789ab"))
    with Client(proxy.url) as vae:
        vae.sample(1, seed=1)

        proxy.actions.append(of_model("0123456789ab"))
        with pytest.raises(ModelChangedError):
            vae.sample(1500, seed=1)
        assert vae.sample(1500, seed=1).x.shape == (1500, 4, 4)

    assert len(proxy.targets("/model")) == 2


@pytest.mark.slow("starts a process")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_has_connections_of_its_own(proxy: FaultyProxy) -> None:
    """As in a pool of `multiprocessing`: else it may read its parent's response."""
    subprocess.run(
        [sys.executable, "-c", FORKING, proxy.url],
        cwd=CLIENT,
        timeout=SECONDS,
        check=True,
    )

    model, first, forked, again = (arrival.port for arrival in proxy.arrivals)
    assert model == first == again
    assert forked != first


@pytest.mark.parametrize(
    ("verb", "options"), [("examples", {}), ("traverse", {"z": [[0, 0, 0]]})]
)
def test_what_is_read_by_the_model_is_of_that_model(
    proxy: FaultyProxy, ask: Ask, verb: str, options: dict[str, Any]
) -> None:
    """Shapes that `/model` gave are not those of another model's response."""
    proxy.actions.append(of_model("0123456789ab"))

    with pytest.raises(ModelChangedError):
        ask(proxy.url, verb, **options)


def test_a_failing_piece_fails_the_call(proxy: FaultyProxy, ask: Ask) -> None:
    """One error is raised, as it is, and no group of them."""
    proxy.actions.extend([answer(500)] * 3)

    with pytest.raises(ServerError):
        ask(proxy.url, "encode", np.zeros((2000, 16)))


@pytest.mark.slow("waits")
def test_waiting_ends_when_the_service_is_ready(proxy: FaultyProxy, ask: Ask) -> None:
    """Error statuses and broken connections do not end it."""
    proxy.actions.extend([answer(503), cut, answer(502)])

    ask(proxy.url, "wait_ready", 20.0)

    assert proxy.targets("/") == ["/readyz"] * 4


@pytest.mark.slow("waits")
def test_waiting_ends_in_time(unused: str, ask: Ask) -> None:
    """The error says how long the client waited, its cause why."""
    start = monotonic()

    with pytest.raises(TimedOutError, match=r"not ready within 0\.3 s") as ended:
        ask(unused, "wait_ready", 0.3)

    assert isinstance(ended.value.__cause__, ConnectionFailedError)
    assert 0.3 <= monotonic() - start < 5.0


@pytest.mark.slow("waits")
def test_waiting_for_an_answer_ends_in_time(proxy: FaultyProxy, ask: Ask) -> None:
    """A service that accepts and never responds does not block the caller."""
    proxy.actions.extend([slow] * 9)
    start = monotonic()

    with pytest.raises(TimedOutError):
        ask(proxy.url, "wait_ready", 0.3)

    assert monotonic() - start < 5.0


def test_waiting_ends_where_it_will_not_help(proxy: FaultyProxy, ask: Ask) -> None:
    """A service without /readyz, or that refuses the key, is an error at once."""
    proxy.actions.append(answer(401))

    with pytest.raises(RequestError) as refused:
        ask(proxy.url, "wait_ready", 20.0)

    assert len(proxy.arrivals) == 1
    assert refused.value.__notes__ == ["pass the key to the client: api_key="]


def test_a_refused_connection_is_a_failed_connection(unused: str, ask: Ask) -> None:
    """Its cause is the network's own error."""
    said = f"cannot connect to {unused} (ConnectError: "
    with pytest.raises(ConnectionFailedError, match=re.escape(said)) as failed:
        ask(unused, "sample", settings={"n_retries": 0})

    assert str(failed.value).endswith("is the service running there?")

    assert failed.value.__cause__ is not None


def test_another_server_is_not_taken_for_the_service(ask: Ask, tmp_path: Path) -> None:
    """Whatever listens there, the first call says which URL is not the service's."""
    handler = partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        said = f"got a 404 that is not its own from {url}/model; is that the URL"
        with pytest.raises(UnexpectedAnswerError, match=re.escape(said)):
            ask(url, "encode", np.zeros((1, 16)))
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""
