"""
What the answers to the calls say, as results.

Each function raises `UnexpectedAnswerError` where something is missing: an answer that
is short of a row is never another result.
"""

from collections.abc import Sequence
from dataclasses import fields
from types import MappingProxyType

import numpy as np

from client.errors import UnexpectedAnswerError
from client.messages import Answer, Request, Response, read_answer, read_json
from client.results import (
    Array,
    Decoding,
    Elbo,
    Encoding,
    Likelihood,
    Limits,
    Model,
    Sample,
)


def encoding(request: Request, response: Response) -> Encoding:
    """Read q(z|x)."""
    return Encoding(*_tensors(read_answer(response), request.n_rows, "mu", "log_var"))


def decoding(request: Request, response: Response) -> Decoding:
    """Read the parameters of p(x|z)."""
    answer = read_answer(response)
    names = ("mean", "log_var") if "log_var" in answer.tensors else ("mean",)
    mean, *log_var = _tensors(answer, request.n_rows, *names)
    return Decoding(
        mean, log_var[0] if log_var else None, _scalar(answer, "likelihood")
    )


def sample(request: Request, response: Response) -> Sample:
    """Read draws from the model."""
    answer = read_answer(response)
    x, z = _tensors(answer, request.n_rows, "x", "z")
    return Sample(x, z, _integer(answer, "seed"))


def elbo(request: Request, response: Response) -> Elbo:
    """Read the ELBO and its terms."""
    answer = read_answer(response)
    # A learned prior has no terms of the KL.
    terms = ("kl_per_dim",) if "kl_per_dim" in answer.tensors else ()
    bound, log_likelihood, kl, *per_dim = _tensors(
        answer, request.n_rows, "elbo", "log_likelihood", "kl", *terms
    )
    return Elbo(
        elbo=bound,
        log_likelihood=log_likelihood,
        kl=kl,
        kl_per_dim=per_dim[0] if per_dim else None,
        n_samples=_integer(answer, "n_samples"),
        seed=_integer(answer, "seed"),
        binarize=answer.scalars.get("binarize"),
        units=_scalar(answer, "units"),
    )


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


def joined_encodings(parts: Sequence[Encoding]) -> Encoding:
    """Put the rows of pieces together, in order."""
    return Encoding(_joined([p.mu for p in parts]), _joined([p.log_var for p in parts]))


def joined_decodings(parts: Sequence[Decoding]) -> Decoding:
    """Put the rows of pieces together, in order."""
    log_var = [part.log_var for part in parts if part.log_var is not None]
    return Decoding(
        _joined([part.mean for part in parts]),
        _joined(log_var) if log_var else None,
        parts[0].likelihood,
    )


def _joined(arrays: Sequence[Array]) -> Array:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _tensors(answer: Answer, n_rows: int, *names: str) -> list[Array]:
    """Return arrays by name, each with as many rows as were asked for."""
    for name in names:
        if name not in answer.tensors:
            raise UnexpectedAnswerError(f"expected a tensor {name!r} in the answer")
        shape = answer.tensors[name].shape
        if shape[:1] != (n_rows,):
            what = f"expected {name!r} of {n_rows} rows, got {list(shape)}"
            raise UnexpectedAnswerError(what)
    return [answer.tensors[name] for name in names]


def _scalar(answer: Answer, name: str) -> str:
    if name not in answer.scalars:
        raise UnexpectedAnswerError(f"expected {name!r} in the answer's metadata")
    return answer.scalars[name]


def _integer(answer: Answer, name: str) -> int:
    text = _scalar(answer, name)
    if not text.isdecimal():
        raise UnexpectedAnswerError(f"expected {name!r} to be an integer")
    return int(text)
