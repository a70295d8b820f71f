"""From a response with an error status to the error that the caller sees."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from vae_client.errors import (
    ErrorDetails,
    RequestFault,
    UnexpectedAnswerError,
    status_error,
)
from vae_client.http_messages import HttpRequest, HttpResponse, read_json

_PROBLEM = "application/problem+json"
# What servers answer to a path or a method that they do not have.
_UNKNOWN = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
# A JSON pointer to a row, by itself or at the start of a detail.
_ROW = re.compile(r"^(/(?:x|z|mask)/)(\d+)(?=[/:]|$)")


def check_status(request: HttpRequest, response: HttpResponse) -> None:
    """
    Check that a response is a success.

    Raises:
        StatusError: Its status is 400 to 599.
        UnexpectedAnswerError: It is any other than 200, or another server's 404 or 405.
    """
    if response.status in _UNKNOWN and response.media_type != _PROBLEM:
        what = f"expected the service, got a {response.status} that is not its own"
        raise response.unexpected(what)
    if 400 <= response.status < 600:
        error = status_error(_details(request, response))
        if request.first_row > 0:
            error.add_note(f"in the piece that starts at row {request.first_row}")
        if response.status == HTTPStatus.UNAUTHORIZED:
            error.add_note("pass the key to the client: api_key=")
        raise error
    if response.status != 200:
        to = response.headers.get("location")
        what = f"expected status 200, got {response.status}"
        raise response.unexpected(f"{what}, a redirect to {to}," if to else what)


def _details(request: HttpRequest, response: HttpResponse) -> ErrorDetails:
    """Return the response's problem document, completed where it has gaps."""
    document = _document(response)
    title, detail = document.get("title"), document.get("detail")
    request_id = document.get("request_id", response.headers.get("x-request-id"))
    return ErrorDetails(
        status=response.status,
        title=str(title) if title else _phrase(response.status),
        detail=_shift_row(str(detail), request.first_row)
        if detail
        else "the response does not say why",
        errors=tuple(_faults(document.get("errors"), request.first_row)),
        request_id=None if request_id is None else str(request_id),
        retry_after=_retry_after(response.headers.get("retry-after")),
    )


def _document(response: HttpResponse) -> dict[str, Any]:
    """Return a problem document; empty for anything else, like a proxy's page."""
    if response.media_type != _PROBLEM:
        return {}
    try:
        return read_json(response)
    except UnexpectedAnswerError:
        return {}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _faults(errors: object, first_row: int) -> list[RequestFault]:
    """Return the faults, with rows counted in the caller's array."""
    if not isinstance(errors, list):
        return []
    return [
        RequestFault(
            _shift_row(str(error.get("pointer", "")), first_row),
            str(error.get("detail", "")),
        )
        for error in errors
        if isinstance(error, dict)
    ]


def _shift_row(text: str, first_row: int) -> str:
    return _ROW.sub(lambda found: f"{found[1]}{int(found[2]) + first_row}", text)


def _retry_after(value: str | None) -> float | None:
    """Return Retry-After, seconds or a date (RFC 9110, 10.2.3), in seconds from now."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
