"""
The calls of the service as requests to send and a way to read what comes back.

Nothing here sends. A request of more rows than the service takes is split where that is
exact: `/encode` and `/decode` answer each row for itself, with the same bits wherever
`/model` says `batch_invariant`. `/sample` and `/elbo` are not split: the noise of row i
is drawn from the seed after that of the rows before it, which no request but the whole
one gives; they raise `LimitError` before anything is sent. Pieces are requests of their
own: a service that is given another model between two of them answers with both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from operator import index
from secrets import randbits
from typing import Generic, TypeVar, final

import numpy as np
from numpy.typing import ArrayLike

from client import answers
from client.errors import LimitError
from client.messages import JSON, Request, Response
from client.results import (
    Array,
    Binarize,
    Decoding,
    Draw,
    Elbo,
    Encoding,
    Limits,
    Model,
    Sample,
)

T = TypeVar("T")

READY = Request("GET", "/readyz", accept="*/*")

_VALUE_BYTES = 4
_HEADER_BYTES = 256  # more than the header of one tensor takes
# What a service draws by itself: integers that JavaScript's numbers hold, too.
_SEED_BITS = 53


@final
@dataclass(frozen=True, eq=False)
class Call(Generic[T]):
    """
    Requests that together make one call.

    Attributes:
        read: Turns the answer to one of the requests into a result.
        join: Turns the results, in the order of the requests, into one.
        multiple: Where a request that the service finds too large (413) is halved: at
            multiples of so many rows; None if that would not be exact.
    """

    requests: tuple[Request, ...]
    read: Callable[[Request, Response], T]
    join: Callable[[Sequence[T]], T]
    multiple: int | None = None

    def halves(self, request: Request) -> tuple[Request, ...]:
        """Return a request in two, or nothing where it has no exact halves."""
        if self.multiple is None or request.n_rows <= self.multiple:
            return ()
        n_units = -(-request.n_rows // self.multiple)
        most = -(-n_units // 2) * self.multiple
        return request.cut(most, multiple=self.multiple)


def encode(x: ArrayLike, model: Model) -> Call[Encoding]:
    """Ask for q(z|x), x [N, D] or [N, *data_shape], in as many pieces as it takes."""
    rows = array("x", x)
    pieces = _of("/encode", "x", rows).cut(most_rows(rows, model.limits))
    return Call(pieces, answers.rows(Encoding), answers.joined)


def decode(z: ArrayLike, model: Model) -> Call[Decoding]:
    """Ask for p(x|z), z [N, J], in as many pieces as it takes."""
    rows = array("z", z)
    most = min(most_rows(rows, model.limits), _most_answered(model))
    pieces = _of("/decode", "z", rows).cut(most)
    return Call(pieces, answers.rows(Decoding), answers.joined)


def sample(
    n: int, model: Model, *, seed: int | None, temperature: float, draw: Draw
) -> Call[Sample]:
    """
    Ask for n draws from the model, from a fresh seed if none is given.

    Raises:
        LimitError: n is more than one request may ask for.
    """
    n = index(n)
    _check_rows(n, min(model.limits.max_rows, _most_answered(model)), "n")
    query = (
        ("n", str(n)),
        ("seed", seed_of(seed)),
        ("temperature", repr(float(temperature))),
        ("draw", draw),
    )
    request = Request("POST", "/sample", query, n_rows=n)
    return Call((request,), answers.rows(Sample), only)


def elbo(
    x: ArrayLike,
    model: Model,
    *,
    n_samples: int,
    seed: int | None,
    binarize: Binarize | None,
) -> Call[Elbo]:
    """
    Ask for the ELBO of x, from a fresh seed if none is given.

    Raises:
        LimitError: x has more rows than one request may bring.
    """
    rows = array("x", x)
    _check_rows(len(rows), most_rows(rows, model.limits), "rows")
    query = [("n_samples", str(index(n_samples))), ("seed", seed_of(seed))]
    if binarize is not None:
        query.append(("binarize", binarize))
    request = _of("/elbo", "x", rows)._replace(query=tuple(query))
    return Call((request,), answers.rows(Elbo), only)


def model() -> Call[Model]:
    """Ask what is served."""
    return Call((Request("GET", "/model", accept=JSON),), answers.model, only)


def array(name: str, values: ArrayLike) -> Array:
    """Return numbers in float32, rounded as the service would round them."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"expected {name} of numbers, got dtype {array.dtype}")
    if array.ndim == 0:
        raise ValueError(f"expected {name} with a row for each example, got one number")
    # What is too large for float32 becomes infinite, and the service says where.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def seed_of(seed: int | None) -> str:
    """Return a seed, or a fresh one, as a scalar of a query."""
    return str(randbits(_SEED_BITS) if seed is None else index(seed))


def most_rows(rows: Array, limits: Limits) -> int:
    """Return how many rows of this width one request may bring."""
    row_bytes = _VALUE_BYTES * max(1, prod(rows.shape[1:]))
    fit = (limits.max_body_bytes - _HEADER_BYTES) // row_bytes
    return max(1, min(limits.max_rows, fit))


def _most_answered(model: Model) -> int:
    """Return how many rows of data one answer may have."""
    return max(1, model.limits.max_output_values // prod(model.data_shape))


def _check_rows(n: int, most: int, what: str) -> None:
    if n > most:
        raise LimitError(
            f"expected {what} of at most {most}, a limit of the service, got {n}; a "
            "row's noise depends on the rows before it, so pieces would be another "
            "answer: ask for them with a seed each"
        )


def _of(path: str, name: str, rows: Array) -> Request:
    """Return the request about all rows."""
    return Request("POST", path, tensors=((name, rows),), n_rows=len(rows))


def only(results: Sequence[T]) -> T:
    """Return the result of a call of one request."""
    [result] = results
    return result
