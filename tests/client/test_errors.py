"""The tree of errors, and what an answer that is an error says."""

import pickle

import pytest

from client import (
    Fault,
    OverloadedError,
    ProblemError,
    RequestError,
    ServerError,
    VaeError,
)
from client.errors import Problem, of
from client.messages import Request, Response, checked

FIRST = Request("POST", "/encode")


def told(request: Request, response: Response) -> ProblemError:
    """Return the error of an answer."""
    with pytest.raises(ProblemError) as refused:
        checked(request, response)
    return refused.value


@pytest.mark.parametrize(
    ("status", "family"),
    [
        (400, RequestError),
        (422, RequestError),
        (499, RequestError),
        (429, OverloadedError),
        (503, OverloadedError),
        (500, ServerError),
        (504, ServerError),
        (599, ServerError),
    ],
)
def test_a_status_has_its_family(status: int, family: type[ProblemError]) -> None:
    """Every status from 400 to 599 is one of three errors, all of them VaeError."""
    error = told(FIRST, Response(status, {}, b""))

    assert type(error) is family
    assert isinstance(error, VaeError)
    assert error.status == status


def test_faults_are_typed_and_counted_in_the_callers_rows() -> None:
    """A pointer into rows is shifted by where the piece starts; others are not."""
    body = (
        b'{"title":"Unprocessable Entity","detail":"/x/3/1: expected","errors":['
        b'{"pointer":"/x/3/1","detail":"expected"},{"pointer":"/x","detail":"a"},'
        b'{"pointer":"/n_samples","detail":"b"},"strange"]}'
    )
    response = Response(422, {"content-type": "application/problem+json"}, body)

    error = told(FIRST._replace(first_row=40), response)

    assert error.errors == (
        Fault("/x/43/1", "expected"),
        Fault("/x", "a"),
        Fault("/n_samples", "b"),
    )
    assert error.detail == "/x/43/1: expected"
    assert error.__notes__ == ["the request split: a piece from row 40"]


@pytest.mark.parametrize("body", [b"", b"<h1>no</h1>", b"[]", b'{"errors": 3}'])
def test_an_answer_that_is_no_problem_still_is_an_error(body: bytes) -> None:
    """A proxy's page becomes the status, its name and the header's request id."""
    headers = {"content-type": "application/problem+json", "x-request-id": "r-7"}

    error = told(FIRST, Response(502, headers, body))

    assert error.title == "Bad Gateway"
    assert error.errors == ()
    assert error.request_id == "r-7"
    said = "502 Bad Gateway: the answer does not say why (request r-7)"
    assert str(error) == said


@pytest.mark.parametrize("value", ["soon", "", "-1", "1e9"])
def test_a_strange_retry_after_is_none(value: str) -> None:
    """Only seconds and dates are understood."""
    error = told(FIRST, Response(503, {"retry-after": value}, b""))

    assert error.retry_after is None


def test_errors_travel_between_processes() -> None:
    """A pool of processes hands them on whole."""
    error = of(Problem(422, "t", "d", (Fault("/x", "f"),), "r-1"))

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is RequestError
    assert (copy.status, copy.errors) == (422, (Fault("/x", "f"),))
    assert str(copy) == str(error)
