"""Requests and responses as bytes, independent of the library that sends them."""

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple, Self, final

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from vae_client.errors import UnexpectedAnswerError

SAFETENSORS = "application/vnd.safetensors"
JSON = "application/json"


@final
class HttpRequest(NamedTuple):
    """
    A request; its arrays are copied into a body only when it is sent.

    Attributes:
        query: Query parameters, by name.
        tensors: The arrays by name, with as many rows each.
        accept: The media type that the response shall have.
        n_rows: How many rows the response must have.
        first_row: The index of its first row in the caller's array.
        first: The query parameter `first`: the position of the first row in the data
            it belongs to. None if the call has no such parameter.
        has_n: Whether the query has `n`, the number of rows.
        timeout: Seconds to wait, if not the client's usual timeout.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    tensors: tuple[tuple[str, NDArray[Any]], ...] = ()
    accept: str = SAFETENSORS
    n_rows: int = 0
    first_row: int = 0
    first: int | None = None
    has_n: bool = False
    timeout: float | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers of this request, without those that all requests have."""
        accept = {"accept": self.accept}
        return {**accept, "content-type": SAFETENSORS} if self.tensors else accept

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """Return the query parameters, `n` and `first` included."""
        n = (("n", str(self.n_rows)),) if self.has_n else ()
        first = (("first", str(self.first)),) if self.first else ()
        return (*n, *self.query, *first)

    def body(self) -> bytes:
        """Return the arrays as safetensors; empty if there are none."""
        return save(dict(self.tensors)) if self.tensors else b""

    def split(self, most: int, *, multiple: int = 1) -> tuple[Self, ...]:
        """
        Return requests of at most `most` rows, of about equal size, in order.

        Args:
            multiple: All but the last have a multiple of so many rows; at most `most`.
        """
        if self.n_rows <= most:
            return (self,)
        n_units = -(-self.n_rows // multiple)
        n = max(1, -(-n_units // (most // multiple)))
        bounds = [min(n_units * i // n * multiple, self.n_rows) for i in range(n + 1)]
        return tuple(self._slice(*ends) for ends in pairwise(bounds))

    def _slice(self, start: int, stop: int) -> Self:
        return self._replace(
            tensors=tuple((name, rows[start:stop]) for name, rows in self.tensors),
            n_rows=stop - start,
            first_row=self.first_row + start,
            first=None if self.first is None else self.first + start,
        )


@final
class HttpResponse(NamedTuple):
    """
    A complete response; the names of headers are in lower case.

    Attributes:
        url: Where it came from, without the query.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = "the service"

    @property
    def media_type(self) -> str:
        """The media type without parameters, empty if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def unexpected(self, what: str) -> UnexpectedAnswerError:
        """Return the error for a response that is not one of this service."""
        return _unexpected(what, self.url)


@final
class TensorBody(NamedTuple):
    """
    A safetensors body: arrays, and scalars as text.

    Attributes:
        url: Where it came from, for errors.
    """

    tensors: Mapping[str, NDArray[Any]]
    scalars: Mapping[str, str]
    url: str

    def unexpected(self, what: str) -> UnexpectedAnswerError:
        """Return the error for a body that lacks something."""
        return _unexpected(what, self.url)


def read_tensors(response: HttpResponse) -> TensorBody:
    """
    Return the arrays and scalars of a response.

    Raises:
        UnexpectedAnswerError: It is not safetensors.
    """
    if response.media_type != SAFETENSORS:
        got = response.media_type or "no media type"
        raise response.unexpected(f"expected {SAFETENSORS}, got {got}")
    try:
        tensors = load(response.body)
    except (SafetensorError, KeyError) as error:
        raise response.unexpected("expected complete safetensors") from error
    # The library checks the header but gives no access to its metadata.
    length = int.from_bytes(response.body[:8], "little")
    header = json.loads(response.body[8 : 8 + length])
    return TensorBody(tensors, header.get("__metadata__", {}), response.url)


def read_json(response: HttpResponse) -> dict[str, Any]:
    """
    Return the JSON object of a response.

    Raises:
        UnexpectedAnswerError: It is not one.
    """
    try:
        document = json.loads(response.body)
    except ValueError as error:
        got = response.media_type or "no media type"
        what = f"expected a JSON object, got other content ({got})"
        raise response.unexpected(what) from error
    if not isinstance(document, dict):
        raise response.unexpected("expected a JSON object, got other JSON")
    return document


def _unexpected(what: str, url: str) -> UnexpectedAnswerError:
    return UnexpectedAnswerError(f"{what} from {url}; is that the URL of the service?")
