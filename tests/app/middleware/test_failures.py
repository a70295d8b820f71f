"""Responses over limits, of defects, and to clients that have gone."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.compute.operations import Operations
from app.errors import MAX_FAULTS, Fault, UnprocessableError
from tests.app.served import Served, assert_problem

SECRET = "the weights are in /somewhere"


def test_a_body_over_the_limit_is_refused(limited: Served) -> None:
    """413 states the limit and ends the connection."""
    response = limited.post_raw("/encode", b" " * 4097)

    problem = assert_problem(response, 413)
    assert "4096 bytes" in problem["detail"]
    assert response.headers["connection"] == "close"


def test_a_body_is_counted_as_it_comes(limited: Served) -> None:
    """A body that does not announce its length is cut off at the limit."""
    n_sent = 0

    async def receive() -> dict[str, Any]:
        nonlocal n_sent
        n_sent += 1
        more = n_sent < 10
        return {"type": "http.request", "body": b" " * 1000, "more_body": more}

    sent = ask(limited, receive)

    assert sent[0]["status"] == 413
    assert n_sent == 5


def test_an_announced_length_is_believed_before_it_is_read(limited: Served) -> None:
    """Nothing is read of a body that says it is too long."""

    async def receive() -> dict[str, Any]:
        raise AssertionError

    sent = ask(limited, receive, (b"content-length", b"99999999999999999999999999"))

    assert sent[0]["status"] == 413


def test_a_client_that_leaves_is_not_answered(limited: Served) -> None:
    """Nothing is sent, and nothing fails."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    assert ask(limited, receive) == []


@pytest.mark.parametrize(
    ("url", "document", "words"),
    [
        ("/encode", {"x": [[0] * 16] * 5}, "at most 4 rows"),
        ("/sample", {"n": 5}, "at most 4"),
        ("/sample", {"n": 4}, "the limit is 48 "),
        ("/decode", {"z": [[0] * 3] * 4}, "the limit is 48 "),
        ("/elbo", {"x": [[0] * 16], "n_samples": 63}, "the limit is 1000"),
    ],
)
def test_a_batch_over_a_limit_is_refused(
    limited: Served, url: str, document: dict[str, Any], words: str
) -> None:
    """413 states the limit before any work is done."""
    problem = assert_problem(limited.post(url, document), 413)

    assert words in problem["detail"]


def test_what_is_at_the_limit_is_answered(limited: Served) -> None:
    """A limit is the most that is allowed."""
    assert limited.post("/sample", {"n": 3}).status_code == 200
    assert limited.post("/encode", {"x": [[0] * 16] * 4}).status_code == 200
    asked = {"x": [[0] * 16], "n_samples": 62}
    assert limited.post("/elbo", asked).status_code == 200


@pytest.mark.parametrize("prefix", ["", "/prefix"])
def test_a_defect_is_a_500_that_tells_nothing(
    checkpoints: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    prefix: str,
) -> None:
    """
    The client gets a request id, hot or not; the log has the place of the defect.

    What an exception says may be what the client sent, so the log has its kind alone.
    """

    async def broken(*_: object) -> None:
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise RuntimeError(SECRET) from error

    with Served(checkpoints / "bernoulli") as served:
        served.root_path = prefix
        monkeypatch.setattr(Operations, "encode", broken)
        response = served.post(f"{prefix}/encode", {"x": [[0] * 16]})

    problem = assert_problem(response, 500)
    assert SECRET not in response.text
    assert SECRET not in caplog.text
    assert problem["request_id"] in caplog.text
    assert "in broken" in caplog.text
    assert caplog.text.index("KeyError") < caplog.text.index("RuntimeError")


def test_operations_answer_behind_a_prefix(checkpoints: Path) -> None:
    """Behind a prefix, an operation answers the same."""
    with Served(checkpoints / "bernoulli") as served:
        wanted = served.post("/sample", {"seed": 1})
        served.root_path = "/prefix"

        found = served.post("/prefix/sample", {"seed": 1})
        refused = served.post("/prefix/sample", {"n": 0})

    assert found.content == wanted.content
    assert_problem(refused, 422)


def test_a_problem_is_small_however_much_is_wrong() -> None:
    """Faults are counted and texts are cut."""
    faults = [Fault("/x" * 5000, "no " * 5000)] * 1000

    document = UnprocessableError(*faults).document(
        instance="/" * 5000, request_id="1" * 64
    )

    assert len(document) < 1000
    assert 1 <= document.count(b"pointer") <= MAX_FAULTS


def ask(
    served: Served, receive: Any, *headers: tuple[bytes, bytes]
) -> list[dict[str, Any]]:
    """Ask `/encode` by bare ASGI; return what is sent."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/encode",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), *headers],
    }
    asyncio.run(served.app(scope, receive, send))  # type: ignore[arg-type]  # plain dicts
    return sent
