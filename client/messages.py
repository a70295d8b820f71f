"""Requests and answers as bytes, before and after any library has sent them."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import pairwise
from typing import Any, NamedTuple, Self, final

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from client.errors import Fault, Problem, UnexpectedAnswerError, VaeError, of

SAFETENSORS = "application/vnd.safetensors"
JSON = "application/json"
_PROBLEM = "application/problem+json"
# A pointer to a row, alone or in front of a detail.
_ROW = re.compile(r"^(/(?:x|z|mask)/)(\d+)(?=[/:]|$)")


@final
class Request(NamedTuple):
    """
    What is sent, the arrays not yet copied into a body.

    Attributes:
        query: Scalars, by name.
        tensors: The arrays of the request by name, of as many rows each.
        accept: The media type wanted.
        n_rows: How many rows the answer is to have.
        first_row: The number of its first row in what the caller gave.
        first: The position that the service is told that row has, if it is told any.
        timeout: Seconds to wait, if not as long as usual.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    tensors: tuple[tuple[str, NDArray[Any]], ...] = ()
    accept: str = SAFETENSORS
    n_rows: int = 0
    first_row: int = 0
    first: int | None = None
    timeout: float | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers that this request has and others have not."""
        named = {"accept": self.accept}
        return {**named, "content-type": SAFETENSORS} if self.tensors else named

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """Return the scalars, the position of the first row among them."""
        return (*self.query, ("first", str(self.first))) if self.first else self.query

    def body(self) -> bytes:
        """Return the arrays in safetensors; nothing if there are none."""
        return save(dict(self.tensors)) if self.tensors else b""

    def cut(self, most: int, *, multiple: int = 1) -> tuple[Self, ...]:
        """
        Return requests of at most so many rows, as equal as can be, in order.

        Args:
            multiple: What each but the last has a multiple of; at most `most`.
        """
        n_units = -(-self.n_rows // multiple)
        n = max(1, -(-n_units // (most // multiple)))
        bounds = [min(n_units * i // n * multiple, self.n_rows) for i in range(n + 1)]
        return tuple(self._rows(*ends) for ends in pairwise(bounds))

    def _rows(self, start: int, stop: int) -> Self:
        return self._replace(
            tensors=tuple((name, rows[start:stop]) for name, rows in self.tensors),
            n_rows=stop - start,
            first_row=self.first_row + start,
            first=None if self.first is None else self.first + start,
        )


@final
class Response(NamedTuple):
    """What came, whole; the names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """The media type without parameters, empty if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@final
class Answer(NamedTuple):
    """A body in safetensors: arrays, and scalars as texts."""

    tensors: Mapping[str, NDArray[Any]]
    scalars: Mapping[str, str]


def read_answer(response: Response) -> Answer:
    """
    Return the arrays and the scalars of an answer.

    Raises:
        UnexpectedAnswerError: It is not in safetensors.
    """
    if response.media_type != SAFETENSORS:
        raise UnexpectedAnswerError(
            f"expected {SAFETENSORS}, got {response.media_type or 'no media type'}"
        )
    try:
        tensors = load(response.body)
    except (SafetensorError, KeyError) as error:
        raise UnexpectedAnswerError("expected whole safetensors") from error
    # The library checks the header but does not hand out what it says besides.
    length = int.from_bytes(response.body[:8], "little")
    header = json.loads(response.body[8 : 8 + length])
    return Answer(tensors, header.get("__metadata__", {}))


def read_json(response: Response) -> dict[str, Any]:
    """
    Return the object of an answer in JSON.

    Raises:
        UnexpectedAnswerError: It is no such answer.
    """
    try:
        document = json.loads(response.body)
    except ValueError as error:
        raise UnexpectedAnswerError("expected an answer in JSON") from error
    if not isinstance(document, dict):
        raise UnexpectedAnswerError("expected an object in JSON")
    return document


def checked(request: Request, outcome: Response | VaeError) -> Response:
    """
    Return the answer to a request, if it is one.

    Raises:
        VaeError: There is none, or it is an error.
    """
    if isinstance(outcome, VaeError):
        raise outcome
    if 400 <= outcome.status < 600:
        error = of(_problem(request, outcome))
        if request.first_row > 0:
            error.add_note(f"the request split: a piece from row {request.first_row}")
        raise error
    if outcome.status != 200:
        raise UnexpectedAnswerError(f"expected status 200, got {outcome.status}")
    return outcome


def _problem(request: Request, response: Response) -> Problem:
    """Return the problem of a response, as far as it has one."""
    document = _document(response)
    title, detail = document.get("title"), document.get("detail")
    request_id = document.get("request_id", response.headers.get("x-request-id"))
    return Problem(
        status=response.status,
        title=str(title) if title else _phrase(response.status),
        detail=_shifted(str(detail), request.first_row)
        if detail
        else "the answer does not say why",
        errors=tuple(_faults(document.get("errors"), request.first_row)),
        request_id=None if request_id is None else str(request_id),
        retry_after=_retry_after(response.headers.get("retry-after")),
    )


def _document(response: Response) -> dict[str, Any]:
    """Return a problem document, or nothing: a proxy's error page is none."""
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


def _faults(errors: object, first_row: int) -> list[Fault]:
    """Return the faults, their rows counted as the caller counts them."""
    if not isinstance(errors, list):
        return []
    return [
        Fault(
            _shifted(str(error.get("pointer", "")), first_row),
            str(error.get("detail", "")),
        )
        for error in errors
        if isinstance(error, dict)
    ]


def _shifted(text: str, first_row: int) -> str:
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
