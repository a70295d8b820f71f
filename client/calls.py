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
from itertools import pairwise
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
    """

    requests: tuple[Request, ...]
    read: Callable[[Request, Response], T]
    join: Callable[[Sequence[T]], T]


def encode(x: ArrayLike, model: Model) -> Call[Encoding]:
    """Ask for q(z|x), x [N, D] or [N, *data_shape], in as many pieces as it takes."""
    rows = _array("x", x)
    pieces = _pieces("/encode", ("x", rows), _most_rows(rows, model.limits))
    return Call(pieces, answers.encoding, answers.joined_encodings)


def decode(z: ArrayLike, model: Model) -> Call[Decoding]:
    """Ask for p(x|z), z [N, J], in as many pieces as it takes."""
    rows = _array("z", z)
    most = min(_most_rows(rows, model.limits), _most_answered(model))
    return Call(
        _pieces("/decode", ("z", rows), most),
        answers.decoding,
        answers.joined_decodings,
    )


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
        ("seed", _seed(seed)),
        ("temperature", repr(float(temperature))),
        ("draw", draw),
    )
    return Call((Request("POST", "/sample", query, n_rows=n),), answers.sample, _only)


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
    rows = _array("x", x)
    _check_rows(len(rows), _most_rows(rows, model.limits), "rows")
    query = [("n_samples", str(index(n_samples))), ("seed", _seed(seed))]
    if binarize is not None:
        query.append(("binarize", binarize))
    return Call(
        (Request("POST", "/elbo", tuple(query), ("x", rows), n_rows=len(rows)),),
        answers.elbo,
        _only,
    )


def model() -> Call[Model]:
    """Ask what is served."""
    return Call((Request("GET", "/model", accept=JSON),), answers.model, _only)


def _array(name: str, values: ArrayLike) -> Array:
    """Return numbers in float32, rounded as the service would round them."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"expected {name} of numbers, got dtype {array.dtype}")
    if array.ndim == 0:
        raise ValueError(f"expected {name} with a row for each example, got one number")
    # What is too large for float32 becomes infinite, and the service says where.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def _seed(seed: int | None) -> str:
    return str(randbits(_SEED_BITS) if seed is None else index(seed))


def _most_rows(rows: Array, limits: Limits) -> int:
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


def _pieces(path: str, tensor: tuple[str, Array], most: int) -> tuple[Request, ...]:
    """Return requests of at most so many rows, as equal as can be, in order."""
    name, rows = tensor
    n = max(1, -(-len(rows) // most))
    bounds = [len(rows) * i // n for i in range(n + 1)]
    return tuple(
        Request(
            "POST",
            path,
            tensor=(name, rows[start:stop]),
            n_rows=stop - start,
            first_row=start,
        )
        for start, stop in pairwise(bounds)
    )


def _only(results: Sequence[T]) -> T:
    [result] = results
    return result
