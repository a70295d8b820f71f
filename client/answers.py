"""
What the answers to the calls say, as results.

Each function raises `UnexpectedAnswerError` where something is missing: an answer that
is short of a row is never another result.
"""

from collections.abc import Callable, Sequence
from dataclasses import Field, fields, replace
from types import MappingProxyType, NoneType, UnionType
from typing import Any, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from client.analysis_results import (
    Analysis,
    Examples,
    HeldOutElbo,
    Interpolation,
    Traversal,
)
from client.errors import UnexpectedAnswerError
from client.messages import Answer, Request, Response, read_answer, read_json
from client.results import (
    Decoding,
    Elbo,
    Encoding,
    Likelihood,
    Limits,
    Model,
    Sample,
)

Result = TypeVar("Result", bound=Encoding | Decoding | Sample | Elbo | Analysis)


def rows(kind: type[Result]) -> Callable[[Request, Response], Result]:
    """
    Return what reads a result of arrays with a row per example, and of scalars.

    A member that may be None is that where the answer has none of its name.
    """

    def read(request: Request, response: Response) -> Result:
        answer = read_answer(response)
        members = {f.name: _member(answer, f, request.n_rows) for f in fields(kind)}
        return kind(**members)

    return read


def joined(parts: Sequence[Result]) -> Result:
    """Put the rows of pieces together, in order."""
    if len(parts) == 1:
        return parts[0]
    arrays: dict[str, Any] = {
        f.name: np.concatenate([getattr(part, f.name) for part in parts])
        for f in fields(parts[0])
        if isinstance(getattr(parts[0], f.name), np.ndarray)
    }
    return replace(parts[0], **arrays)


def interpolation(request: Request, response: Response) -> Interpolation:
    """Read a path."""
    answer = read_answer(response)
    z, mean = (_tensor(answer, name, request.n_rows) for name in ("z", "mean"))
    return Interpolation(z, mean, _scalar(answer, "path"))


def traversal(n: int) -> Callable[[Request, Response], Traversal]:
    """Return what reads paths of n points, one for each row asked for."""

    def read(request: Request, response: Response) -> Traversal:
        answer = read_answer(response)
        z, mean, dims = (
            _tensor(answer, name, request.n_rows) for name in ("z", "mean", "dims")
        )
        levels = _tensor(answer, "levels", n)
        return Traversal(z, mean, dims, levels, _scalar(answer, "scale"))

    return read


def examples(model: Model) -> Callable[[Request, Response], Examples]:
    """Return what reads held-out rows of a model."""

    def read(_: Request, response: Response) -> Examples:
        document = read_json(response)
        try:
            x = np.array(document["x"], np.float32).reshape(-1, *model.data_shape)
            labels, scored = document["labels"], document["elbo"]
            return Examples(
                x=x,
                labels=None if labels is None else np.array(labels, np.int64),
                elbo=None if scored is None else _held_out_elbo(scored),
            )
        except (KeyError, TypeError, ValueError) as error:
            what = "expected /examples to tell rows and how they score"
            raise UnexpectedAnswerError(what) from error

    return read


def model(_: Request, response: Response) -> Model:
    """Read what is served."""
    card = read_json(response)
    try:
        likelihood = card["likelihood"]
        ends = likelihood["value_range"]
        return Model(
            name=card["name"],
            version=card["version"],
            sha256=card["sha256"],
            data_shape=tuple(card["data_shape"]),
            latent_dim=card["latent_dim"],
            likelihood=Likelihood(
                kind=likelihood["kind"],
                support=likelihood["support"],
                value_range=None if ends is None else (ends[0], ends[1]),
            ),
            units=card["units"],
            limits=Limits(**{f.name: card["limits"][f.name] for f in fields(Limits)}),
            document=MappingProxyType(card),
        )
    except (KeyError, TypeError, IndexError) as error:
        what = "expected /model to tell shapes and limits"
        raise UnexpectedAnswerError(what) from error


def _held_out_elbo(scored: dict[str, Any]) -> HeldOutElbo:
    quantiles = np.array(scored["quantiles"], np.float64)
    told = {f.name: scored[f.name] for f in fields(HeldOutElbo)}
    return HeldOutElbo(**{**told, "quantiles": quantiles})


def _member(answer: Answer, field: "Field[Any]", n_rows: int) -> Any:
    """Return what an answer has for a member of a result, by the member's type."""
    name = field.name
    kinds = get_args(field.type) if isinstance(field.type, UnionType) else (field.type,)
    if NoneType in kinds and name not in {*answer.tensors, *answer.scalars}:
        return None
    if int in kinds:
        return _integer(answer, name)
    return _scalar(answer, name) if str in kinds else _tensor(answer, name, n_rows)


def _tensor(answer: Answer, name: str, n_rows: int) -> NDArray[Any]:
    """Return an array, of as many rows as were asked for."""
    if name not in answer.tensors:
        raise UnexpectedAnswerError(f"expected a tensor {name!r} in the answer")
    values = answer.tensors[name]
    if values.shape[:1] != (n_rows,):
        what = f"expected {name!r} of {n_rows} rows, got {list(values.shape)}"
        raise UnexpectedAnswerError(what)
    return values


def _scalar(answer: Answer, name: str) -> str:
    if name not in answer.scalars:
        raise UnexpectedAnswerError(f"expected {name!r} in the answer's metadata")
    return answer.scalars[name]


def _integer(answer: Answer, name: str) -> int:
    text = _scalar(answer, name)
    if not text.isdecimal():
        raise UnexpectedAnswerError(f"expected {name!r} to be an integer")
    return int(text)
