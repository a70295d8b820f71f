"""
From responses to results.

Each function raises `UnexpectedAnswerError` if something is missing: a response that
lacks a row never becomes a smaller result.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields, replace
from types import MappingProxyType, NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from vae_client.http_messages import (
    HttpRequest,
    HttpResponse,
    TensorBody,
    read_json,
    read_tensors,
)
from vae_client.results import (
    ExamplesElbo,
    ExamplesResult,
    ModelLikelihood,
    ModelLimits,
    ModelResult,
)

R = TypeVar("R")
NO_OTHER_ROWS: Mapping[str, int] = MappingProxyType({})


def tensors_reader(
    result: type[R], n_rows_of: Mapping[str, int] = NO_OTHER_ROWS
) -> Callable[[HttpRequest, HttpResponse], R]:
    """
    Return a function that reads a result dataclass from safetensors.

    Fields of arrays are read from the tensors, `int` and `str` from the metadata, by
    their names. A field that may be None is None if the response does not have it.

    Args:
        n_rows_of: Tensors that have another number of rows than the request asks for.
    """

    def read(request: HttpRequest, response: HttpResponse) -> R:
        body = read_tensors(response)
        members = {
            field.name: _member(body, field, n_rows_of.get(field.name, request.n_rows))
            for field in _fields(result)
        }
        return result(**members)

    return read


def join_rows(parts: Sequence[R]) -> R:
    """Return one result with the rows of all parts, in order."""
    if len(parts) == 1:
        return parts[0]
    first: Any = parts[0]
    arrays = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in _fields(type(first))
        if isinstance(getattr(first, field.name), np.ndarray)
    }
    joined: R = replace(first, **arrays)
    return joined


def examples_reader(
    model: ModelResult,
) -> Callable[[HttpRequest, HttpResponse], ExamplesResult]:
    """Return a function that reads the held-out examples of a model."""

    def read(_: HttpRequest, response: HttpResponse) -> ExamplesResult:
        document = read_json(response)
        try:
            dtype = np.dtype(model.document["data_dtype"])
            x = np.array(document["x"], dtype).reshape(-1, *model.data_shape)
            labels, elbo = document["labels"], document["elbo"]
            return ExamplesResult(
                x=x,
                labels=None if labels is None else np.array(labels, np.int64),
                elbo=None if elbo is None else _examples_elbo(elbo),
            )
        except (KeyError, TypeError, ValueError) as error:
            what = "expected rows and their ELBO, got other JSON"
            raise response.unexpected(what) from error

    return read


def read_model(_: HttpRequest, response: HttpResponse) -> ModelResult:
    """Read what the service serves."""
    card = read_json(response)
    try:
        likelihood, limits = card["likelihood"], card["limits"]
        value_range = likelihood["value_range"]
        return ModelResult(
            name=card["name"],
            version=card["version"],
            sha256=card["sha256"],
            data_shape=tuple(card["data_shape"]),
            latent_dim=card["latent_dim"],
            likelihood=ModelLikelihood(
                kind=likelihood["kind"],
                support=likelihood["support"],
                value_range=None
                if value_range is None
                else (value_range[0], value_range[1]),
            ),
            columns=None if card.get("columns") is None else tuple(card["columns"]),
            units=card["units"],
            limits=ModelLimits(**{f.name: limits[f.name] for f in fields(ModelLimits)}),
            document=card,
        )
    except (KeyError, TypeError, IndexError) as error:
        what = "expected a model with shapes and limits, got other JSON"
        raise response.unexpected(what) from error


def _examples_elbo(elbo: dict[str, Any]) -> ExamplesElbo:
    members = {field.name: elbo[field.name] for field in fields(ExamplesElbo)}
    quantiles = np.array(members.pop("quantiles"), np.float64)
    return ExamplesElbo(quantiles=quantiles, **members)


def _fields(result: type[Any]) -> "tuple[Field[Any], ...]":
    return fields(result)


def _member(body: TensorBody, field: "Field[Any]", n_rows: int) -> Any:
    """Return the value of a field, read by the field's type."""
    name = field.name
    kinds = get_args(field.type) if isinstance(field.type, UnionType) else (field.type,)
    if NoneType in kinds and name not in {*body.tensors, *body.scalars}:
        return None
    if any(get_origin(kind) is tuple for kind in kinds):
        return tuple(json.loads(_scalar(body, name)))
    if int in kinds:
        return _integer(body, name)
    return _scalar(body, name) if str in kinds else _tensor(body, name, n_rows)


def _tensor(body: TensorBody, name: str, n_rows: int) -> NDArray[Any]:
    """Return an array with the expected number of rows."""
    if name not in body.tensors:
        raise body.unexpected(f"expected a tensor {name!r}, got none")
    values = body.tensors[name]
    if values.shape[:1] != (n_rows,):
        what = f"expected {name!r} of {n_rows} rows, got {list(values.shape)}"
        raise body.unexpected(what)
    return values


def _scalar(body: TensorBody, name: str) -> str:
    if name not in body.scalars:
        raise body.unexpected(f"expected {name!r} in the metadata, got none")
    return body.scalars[name]


def _integer(body: TensorBody, name: str) -> int:
    text = _scalar(body, name)
    if not text.isdecimal():
        raise body.unexpected(f"expected {name!r} to be an integer, got other text")
    return int(text)
