"""
The requests of a call, and how to read their responses; nothing is sent here.

A call with more rows than the service accepts is split into several requests, where
that gives exactly the same result:

- `separate_rows` (`/encode`, `/decode`): the result of a row depends on that row only.
  The bits are the same wherever `/model` says `batch_invariant`.
- `positioned_rows` (`/sample`, `/elbo`, `/reconstruct` with draws): the noise of a row
  is a function of the seed and of the row's position, `first` + i. All pieces have the
  same seed, and each has the position of its first row.
- `analysis`: the same, and the service computes 16 rows at a time (or 8, 4, 2, 1), so
  pieces start at multiples of 16: each row is then computed together with the same
  other rows. Where that is not possible, `LimitError` says why, and nothing is sent.

Pieces are separate requests: if the service loads another model between two of them,
the call fails with `ModelChangedError`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Generic, TypeVar, final

from numpy.typing import NDArray

from vae_client import readers
from vae_client.arguments import OptionValue, query
from vae_client.errors import LimitError
from vae_client.http_messages import JSON, HttpRequest, HttpResponse
from vae_client.results import ExamplesResult, ModelResult

R = TypeVar("R")
Tensors = Mapping[str, NDArray[Any]]
QueryOptions = Mapping[str, OptionValue]

READY = HttpRequest("GET", "/readyz", accept="*/*")

_ROWS_TOGETHER = 16
_NOISE_RESTARTS = 16_384  # the service's noise restarts after so many rows
_HEADER_BYTES = 256  # more than the safetensors header takes per tensor


@final
@dataclass(frozen=True, eq=False)
class CallPlan(Generic[R]):
    """
    Requests that together are one call.

    Attributes:
        read: Reads the result of one request from its response.
        join: Joins the results, in the order of the requests.
        multiple: A request that is too much work for the service (413) may be halved at
            multiples of so many rows; None if halves would not be exact.
    """

    requests: tuple[HttpRequest, ...]
    read: Callable[[HttpRequest, HttpResponse], R]
    join: Callable[[Sequence[R]], R]
    multiple: int | None = None

    def halves(self, request: HttpRequest) -> tuple[HttpRequest, ...]:
        """Return a request in two halves, or nothing if it has no exact halves."""
        if self.multiple is None or request.n_rows <= self.multiple:
            return ()
        n_units = -(-request.n_rows // self.multiple)
        most = -(-n_units // 2) * self.multiple
        return request.split(most, multiple=self.multiple)


def separate_rows(
    model: ModelResult,
    path: str,
    result: type[R],
    tensors: Tensors,
    options: QueryOptions | None = None,
    *,
    n_outputs: int = 0,
) -> CallPlan[R]:
    """
    Plan a call whose rows do not depend on each other, in as many requests as needed.

    Args:
        n_outputs: How many rows of data the response has per row of the request.
    """
    request = _request(path, tensors, options)
    pieces = request.split(_most_rows(model, tensors, n_outputs))
    return CallPlan(pieces, readers.tensors_reader(result), readers.join_rows)


def positioned_rows(
    model: ModelResult,
    path: str,
    result: type[R],
    tensors: Tensors,
    options: QueryOptions,
    *,
    first: int,
    n_rows: int | None = None,
    n_outputs: int = 0,
    n_draws: int = 0,
    n_noise: int,
) -> CallPlan[R]:
    """
    Plan a call that draws the noise of a row by its position, in one or more requests.

    Args:
        first: The position of the first row in the data it belongs to.
        n_rows: How many rows are asked for, where no array says it.
        n_outputs: How many rows of data the response has per row of the request.
        n_draws: How many draws the service scores per row of the request.
        n_noise: How many random numbers it draws per row.

    Raises:
        LimitError: A piece would start so late that too much noise must be skipped.
    """
    request = _request(path, tensors, options, n_rows=n_rows)
    request = request._replace(first=first, has_n=n_rows is not None)
    most = _most_rows(model, tensors, n_outputs)
    if n_draws > 0:
        values_per_draw = max(prod(model.data_shape), model.latent_dim)
        most = max(1, min(most, model.limits.max_work // (n_draws * values_per_draw)))
    pieces = request.split(most)
    most_skipped = model.limits.max_work // max(1, n_noise)
    for piece in pieces[1:]:
        if (first + piece.first_row) % _NOISE_RESTARTS > most_skipped:
            why = (
                f"noise can be skipped for at most {most_skipped} rows; use fewer draws"
            )
            raise _limit_error(request, piece.first_row, why)
    read = readers.tensors_reader(result)
    return CallPlan(pieces, read, readers.join_rows, multiple=1)


def analysis(
    model: ModelResult,
    path: str,
    result: type[R],
    tensors: Tensors,
    options: QueryOptions,
    *,
    first: int,
    multiple: int = _ROWS_TOGETHER,
) -> CallPlan[R]:
    """
    Plan an analysis, in as many requests as needed.

    Args:
        first: The position of the first row in the data it belongs to.
        multiple: Pieces start at multiples of so many rows.

    Raises:
        LimitError: There are too many rows for one request, and no exact pieces.
    """
    request = _request(path, tensors, options)._replace(first=first)
    most = min(_most_rows(model, tensors, 0), model.limits.max_analysis_rows)
    if request.n_rows > most and most < multiple:
        why = (
            "they cannot be split exactly: "
            f"pieces of fewer than {multiple} rows may differ in their last bits"
        )
        raise _limit_error(request, most, why)
    is_one = request.n_rows <= most
    pieces = (request,) if is_one else request.split(most, multiple=multiple)
    read = readers.tensors_reader(result)
    return CallPlan(pieces, read, readers.join_rows, multiple)


def latent_path(
    path: str,
    result: type[R],
    tensors: Tensors,
    options: QueryOptions,
    *,
    n_rows: int,
    n_rows_of: Mapping[str, int] = readers.NO_OTHER_ROWS,
) -> CallPlan[R]:
    """
    Plan a call that answers with a number of points per request, not per row.

    Args:
        n_rows: How many rows the tensors of the response have.
        n_rows_of: Those that have another number of rows.
    """
    request = _request(path, tensors, options, n_rows=n_rows)
    return CallPlan((request,), readers.tensors_reader(result, n_rows_of), _only)


def served_model() -> CallPlan[ModelResult]:
    """Plan the question what the service serves."""
    request = HttpRequest("GET", "/model", accept=JSON)
    return CallPlan((request,), readers.read_model, _only)


def held_out_examples(model: ModelResult) -> CallPlan[ExamplesResult]:
    """Plan the question for rows that were held out of training."""
    request = HttpRequest("GET", "/examples", accept=JSON)
    return CallPlan((request,), readers.examples_reader(model), _only)


def _request(
    path: str,
    tensors: Tensors,
    options: QueryOptions | None,
    *,
    n_rows: int | None = None,
) -> HttpRequest:
    """Return one request for all rows."""
    if n_rows is None:
        n_rows = len(next(iter(tensors.values())))
    arrays = tuple(tensors.items())
    return HttpRequest("POST", path, query(options or {}), arrays, n_rows=n_rows)


def _most_rows(model: ModelResult, tensors: Tensors, n_outputs: int) -> int:
    """
    Return how many rows one request may have; at least 1.

    Args:
        n_outputs: How many rows of data the response has per row of the request.
    """
    limits, most = model.limits, [model.limits.max_rows]
    if tensors:
        arrays = tensors.values()
        row_bytes = sum(a.itemsize * max(1, prod(a.shape[1:])) for a in arrays)
        header_bytes = _HEADER_BYTES * len(tensors)
        most.append((limits.max_body_bytes - header_bytes) // row_bytes)
    if n_outputs:
        most.append(limits.max_rows // n_outputs)
        most.append(limits.max_output_values // (n_outputs * prod(model.data_shape)))
    return max(1, min(most))


def _limit_error(request: HttpRequest, most: int, why: str) -> LimitError:
    return LimitError(
        f"{request.path} accepts at most {most} rows at once, got {request.n_rows}; "
        f"{why}"
    )


def _only(results: Sequence[R]) -> R:
    """Return the result of a call of one request."""
    [result] = results
    return result
