"""
The analyses and the paths as requests: a table of them, and how a call of one is made.

An analysis of more rows than the service takes is split, since the noise of a row is a
function of the seed and of the row's position, `first` + i. The service computes 16
rows, or 8, 4, 2, 1, at a time, so pieces begin at multiples of 16: every row is then
computed in the company that it has in the whole, and has the same bits. What cannot be
split so raises `LimitError` before anything is sent: rows that are drawn from the seed
in order (`binarize="sample"`), and any for a service that takes fewer than 16.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, Generic, TypeVar, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from client import answers
from client.analysis_results import (
    Analysis,
    Anomaly,
    Examples,
    Gap,
    Imputation,
    Interpolation,
    Loglik,
    Posterior,
    Refinement,
    Traversal,
)
from client.calls import Call, array, most_rows, only, seed_of
from client.errors import LimitError
from client.messages import JSON, Request
from client.results import Array, Binarize, Model, Path, Scale

R = TypeVar("R", bound=Analysis)
Option = bool | int | float | str | None

_TOGETHER = 16


@final
@dataclass(frozen=True)
class Verb(Generic[R]):
    """
    An analysis of rows of x.

    Attributes:
        result: What its answer is read as.
        multiple: Of how many rows a piece of a split request is a multiple.
        has_first: Whether it draws noise, for the row at the position it is told.
    """

    path: str
    result: type[R]
    multiple: int = _TOGETHER
    has_first: bool = True


LOGLIK = Verb("/loglik", Loglik)
GAP = Verb("/gap", Gap)
REFINE = Verb("/refine", Refinement)
POSTERIOR = Verb("/posterior", Posterior, multiple=1, has_first=False)
ANOMALY = Verb("/anomaly", Anomaly)
IMPUTE = Verb("/impute", Imputation)


def analysis(
    verb: Verb[R],
    x: ArrayLike,
    model: Model,
    options: Mapping[str, Option],
    *,
    seed: int | None,
    binarize: Binarize | None,
    first: int = 0,
    mask: ArrayLike | None = None,
) -> Call[R]:
    """
    Ask for an analysis of x, [N, D] or [N, *data_shape], from a fresh seed if none.

    Args:
        options: By the names of the service; what is None is not told.
        first: The position of the first row in its data.
        mask: For `impute`, of the shape of x: whether x is known.

    Raises:
        LimitError: There are more rows than one request may bring, and no exact pieces.
    """
    rows = array("x", x)
    known = () if mask is None else (("mask", _mask(mask)),)
    request = Request(
        "POST",
        verb.path,
        _query({**options, "seed": seed_of(seed), "binarize": binarize}),
        tensors=(("x", rows), *known),
        n_rows=len(rows),
        first=index(first) if verb.has_first else None,
    )
    multiple = None if binarize == "sample" else verb.multiple
    most = min(most_rows(rows, model.limits), model.limits.max_analysis_rows)
    pieces = _split(request, most, multiple)
    return Call(pieces, answers.rows(verb.result), answers.joined, multiple)


def interpolate(
    x: ArrayLike | None, z: ArrayLike | None, *, n: int, path: Path
) -> Call[Interpolation]:
    """Ask for n points from the first of two rows of x or of z to the second."""
    query = _query({"n": index(n), "path": path})
    request = Request("POST", "/interpolate", query, (_either(x, z),), n_rows=index(n))
    return Call((request,), answers.interpolation, only)


def traverse(
    x: ArrayLike | None,
    z: ArrayLike | None,
    model: Model,
    *,
    dims: Sequence[int] | None,
    n: int,
    scale: Scale,
) -> Call[Traversal]:
    """Ask for n values of each of the dimensions, from one row of x or of z."""
    named = None if dims is None else ",".join(str(index(dim)) for dim in dims)
    query = _query({"dims": named, "n": index(n), "scale": scale})
    n_rows = model.latent_dim if dims is None else len(dims)
    request = Request("POST", "/traverse", query, (_either(x, z),), n_rows=n_rows)
    return Call((request,), answers.traversal(index(n)), only)


def examples(model: Model) -> Call[Examples]:
    """Ask for rows that were held out of training."""
    request = Request("GET", "/examples", accept=JSON)
    return Call((request,), answers.examples(model), only)


def _split(request: Request, most: int, multiple: int | None) -> tuple[Request, ...]:
    """Return a request as it is if it may be, else in exact pieces."""
    if request.n_rows <= most:
        return (request,)
    if multiple is None or most < multiple:
        why = (
            'what binarize="sample" draws for a row depends on the rows before it'
            if multiple is None
            else f"pieces of fewer than {multiple} may differ in their last bits"
        )
        raise LimitError(
            f"expected rows of at most {most}, a limit of the service, got "
            f"{request.n_rows}; {why}"
        )
    return request.cut(most, multiple=multiple)


def _mask(mask: ArrayLike) -> NDArray[Any]:
    """Return a mask as the service wants it, 0 and 1; it says where others are."""
    values = np.asarray(mask)
    if values.dtype.kind == "b":
        return np.ascontiguousarray(values)
    return array("mask", values)


def _either(x: ArrayLike | None, z: ArrayLike | None) -> tuple[str, Array]:
    given = [(name, v) for name, v in (("x", x), ("z", z)) if v is not None]
    if len(given) != 1:
        got = "both" if given else "neither"
        raise TypeError(f"expected exactly one of x and z, got {got}")
    [(name, values)] = given
    return name, array(name, values)


def _query(options: Mapping[str, Option]) -> tuple[tuple[str, str], ...]:
    """Return options as the scalars of a query."""
    return tuple(
        (name, _text(value)) for name, value in options.items() if value is not None
    )


def _text(value: object) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    return str(value).lower() if isinstance(value, bool | str) else repr(value)
