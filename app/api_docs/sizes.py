"""The sizes of a served model's arrays, put into the schemas of bodies."""

from collections.abc import Sequence
from math import prod
from typing import Any

from app.card import Card
from app.wire.layout import LARGEST
from model.inference.bounds import N_BLOCKS

Json = dict[str, Any]

_NUMBER: Json = {"type": "number"}
_FLOAT32: Json = {**_NUMBER, "minimum": -LARGEST, "maximum": LARGEST}
_ANALYSES = ("Loglik", "Gap", "Refine", "Posterior", "Anomaly", "Impute")


def put_sizes(schemas: Json, card: Card) -> None:
    """Say in the schemas how long the rows are, and how many there may be."""
    _put_into_requests(schemas, card)
    _put_into_answers(schemas, card)


def put_examples(schemas: Json, card: Card) -> None:
    """Say what shape the held-out rows have, where the service shows any."""
    if "HeldOut" in schemas:
        rows = _rows(card.data_shape, card.limits.max_rows)
        schemas["HeldOut"]["properties"]["x"].update({**rows, "minItems": 0})


def put_maxima(members: Json, operation: str, card: Card) -> None:
    """Say of the whole numbers of a request how large they may be."""
    limits = card.limits
    maxima = {
        "n": min(limits.max_rows, limits.max_output_values // prod(card.data_shape)),
        "n_samples": limits.max_n_samples,
        "budget": limits.max_draws,
        "n_draws": limits.max_draws,
    }
    if operation == "loglik":
        maxima["n_samples"] = limits.max_draws // N_BLOCKS
    if operation == "impute":
        maxima["n_samples"] = limits.max_draws
    for name in maxima.keys() & members.keys():
        schema = members[name]
        for one in schema.get("anyOf", [schema]):  # one of them may be null
            if one.get("type") == "integer":
                one["maximum"] = maxima[name]


def _put_into_requests(schemas: Json, card: Card) -> None:
    data, latent = list(card.data_shape), [card.latent_dim]
    n_rows = card.limits.max_rows
    flat = [prod(data)]
    accepted = [flat] if len(data) == 1 else [flat, data]
    n_analysed = min(n_rows, card.limits.max_analysis_rows)
    for name, most in (
        ("EncodeRequest", n_rows),
        ("ElboRequest", n_rows),
        *((f"{name}Request", n_analysed) for name in _ANALYSES),
    ):
        schemas[name]["properties"]["x"] = _either(accepted, most)
    mask = schemas["ImputeRequest"]["properties"]["mask"]
    mask.update(_either(accepted, n_analysed))
    mask.pop("items", None)
    n_decoded = min(n_rows, card.limits.max_output_values // flat[0])
    schemas["DecodeRequest"]["properties"]["z"] = _float32_rows(latent, n_decoded)
    for name, n in (("InterpolateRequest", 2), ("TraverseRequest", 1)):
        members = schemas[name]["properties"]
        members["x"] = _either(accepted, n, at_least=n)
        members["z"] = _float32_rows(latent, n, at_least=n)
        schemas[name]["oneOf"] = [{"required": ["x"]}, {"required": ["z"]}]
        del schemas[name]["required"]


def _put_into_answers(schemas: Json, card: Card) -> None:
    data, latent = list(card.data_shape), [card.latent_dim]
    n_rows = card.limits.max_rows
    for name, member, shape in (
        ("EncodeResponse", "mu", latent),
        ("EncodeResponse", "log_var", latent),
        ("DecodeResponse", "mean", data),
        ("DecodeResponse", "log_var", data),
        ("SampleResponse", "x", data),
        ("SampleResponse", "z", latent),
        ("ElboResponse", "kl_per_dim", latent),
        ("RefineResponse", "mu", latent),
        ("RefineResponse", "log_var", latent),
        ("PosteriorResponse", "mean", latent),
        ("AnomalyResponse", "surprise_per_dim", data),
        ("ImputeResponse", "mean", data),
        ("ImputeResponse", "variance", data),
        ("InterpolateResponse", "z", latent),
        ("InterpolateResponse", "mean", data),
    ):
        members = schemas[name]["properties"]
        members[member] = {**members[member], **_rows(shape, n_rows)}
    for name, member, shape in (
        ("ImputeResponse", "samples", data),
        ("TraverseResponse", "z", latent),
        ("TraverseResponse", "mean", data),
    ):
        members = schemas[name]["properties"]
        members[member]["items"] = _rows(shape, n_rows)
    if card.likelihood.kind != "gaussian":
        del schemas["DecodeResponse"]["properties"]["log_var"]
    if card.prior.kind != "standard_normal":
        del schemas["ElboResponse"]["properties"]["kl_per_dim"]


def _either(shapes: Sequence[Sequence[int]], n_rows: int, at_least: int = 1) -> Json:
    rows = [_float32_rows(shape, n_rows, at_least) for shape in shapes]
    return rows[0] if len(rows) == 1 else {"oneOf": rows}


def _float32_rows(shape: Sequence[int], n_rows: int, at_least: int = 1) -> Json:
    return _rows(shape, n_rows, at_least, _FLOAT32)


def _rows(
    shape: Sequence[int], n_rows: int, at_least: int = 1, number: Json = _NUMBER
) -> Json:
    schema = number
    for size in reversed(shape):
        schema = {"type": "array", "minItems": size, "maxItems": size, "items": schema}
    return {"type": "array", "minItems": at_least, "maxItems": n_rows, "items": schema}
