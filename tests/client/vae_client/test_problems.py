"""Responses with an error status become errors of the right kind and content."""

import pytest

from vae_client import (
    RequestError,
    RequestFault,
    ServerError,
    ServiceBusyError,
    StatusError,
    UnexpectedAnswerError,
    VaeError,
)
from vae_client.http_messages import HttpRequest, HttpResponse
from vae_client.problems import check_status

FIRST = HttpRequest("POST", "/encode")


def error_of(request: HttpRequest, response: HttpResponse) -> StatusError:
    """Return the error of a response."""
    with pytest.raises(StatusError) as refused:
        check_status(request, response)
    return refused.value


@pytest.mark.parametrize(
    ("status", "family"),
    [
        (400, RequestError),
        (422, RequestError),
        (499, RequestError),
        (429, ServiceBusyError),
        (503, ServiceBusyError),
        (500, ServerError),
        (504, ServerError),
        (599, ServerError),
    ],
)
def test_a_status_has_its_family(status: int, family: type[StatusError]) -> None:
    """Every status from 400 to 599 is one of three errors, all of them VaeError."""
    error = error_of(FIRST, HttpResponse(status, {}, b""))

    assert type(error) is family
    assert isinstance(error, VaeError)
    assert error.status == status


def test_faults_are_counted_in_the_rows_of_the_caller() -> None:
    """A pointer into rows is shifted by where the piece starts; others are not."""
    body = (
        b'{"title":"Unprocessable Entity","detail":"/x/3/1: expected","errors":['
        b'{"pointer":"/x/3/1","detail":"expected"},{"pointer":"/x","detail":"a"},'
        b'{"pointer":"/n_samples","detail":"b"},"strange"]}'
    )
    response = HttpResponse(422, {"content-type": "application/problem+json"}, body)

    error = error_of(FIRST._replace(first_row=40), response)

    assert error.errors == (
        RequestFault("/x/43/1", "expected"),
        RequestFault("/x", "a"),
        RequestFault("/n_samples", "b"),
    )
    assert error.detail == "/x/43/1: expected"
    assert error.__notes__ == ["in the piece that starts at row 40"]


@pytest.mark.parametrize("body", [b"", b"<h1>no</h1>", b"[]", b'{"errors": 3}'])
def test_a_response_without_a_problem_document_still_is_an_error(body: bytes) -> None:
    """A proxy's page becomes the status, its name and the header's request id."""
    headers = {"content-type": "application/problem+json", "x-request-id": "r-7"}

    error = error_of(FIRST, HttpResponse(502, headers, body))

    assert error.title == "Bad Gateway"
    assert error.errors == ()
    assert error.request_id == "r-7"
    said = "502 Bad Gateway: the response does not say why (request r-7)"
    assert str(error) == said


@pytest.mark.parametrize("value", ["soon", "", "-1", "1e9"])
def test_an_invalid_retry_after_is_none(value: str) -> None:
    """Only seconds and dates are understood."""
    error = error_of(FIRST, HttpResponse(503, {"retry-after": value}, b""))

    assert error.retry_after is None


@pytest.mark.parametrize("status", [201, 204, 302, 100])
def test_only_status_200_is_a_success(status: int) -> None:
    """Other statuses below 400 are not from this service."""
    check_status(FIRST, HttpResponse(200, {}, b""))
    with pytest.raises(
        UnexpectedAnswerError, match=f"expected status 200, got {status}"
    ):
        check_status(FIRST, HttpResponse(status, {}, b""))


@pytest.mark.parametrize("status", [404, 405])
def test_another_server_is_recognized_by_its_errors(status: int) -> None:
    """A 404 that is no problem document is of a server without this service."""
    html = HttpResponse(
        status, {"content-type": "text/html"}, b"<h1>No</h1>", "http://a/model"
    )
    own = html._replace(headers={"content-type": "application/problem+json"})

    with pytest.raises(UnexpectedAnswerError) as refused:
        check_status(FIRST, html)

    said = "from http://a/model; is that the URL of the service?"
    assert str(refused.value).endswith(said)
    assert type(error_of(FIRST, own)) is RequestError


def test_a_redirect_says_where_to() -> None:
    """Redirects are not followed; the caller passes the URL that they lead to."""
    headers = {"location": "https://a/model"}

    with pytest.raises(UnexpectedAnswerError, match="a redirect to https://a/model,"):
        check_status(FIRST, HttpResponse(301, headers, b""))
