"""
The options of a request, from its query and its body, checked by one schema.

An option with its default value counts as left out: generated clients and the API's
page send every default, in the query and the body. So a default is accepted where an
option does not apply, and any other value overrides it. Two different values, neither
of them the default, are an error.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import ValidationError

from app.errors import MAX_FAULTS, Fault, UnprocessableError
from app.http.schema import StrictObject
from app.wire.json.strict import kind

Options = TypeVar("Options", bound=StrictObject)

_INTEGER = re.compile(r"-?\d{1,20}", re.ASCII)
_FLOAT = re.compile(r"-?\d{1,20}(\.\d{1,40})?([eE][-+]?\d{1,3})?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
_MAX_PARAMETERS = 16
_NO_DEFAULT = object()


def read(schema: type[Options], members: Mapping[str, Any], query: bytes) -> Options:
    """
    Return the options of a request.

    Raises:
        UnprocessableError: A name is unknown, or has two values or an invalid one.
    """
    if query:
        members = _merge(schema, members, _parameters(schema, query))
    return _validate(schema, members)


def _validate(schema: type[Options], members: Mapping[str, Any]) -> Options:
    try:
        return schema.model_validate(members)
    except ValidationError as error:
        raise UnprocessableError(
            *(_fault(fault, schema) for fault in error.errors()[:MAX_FAULTS])
        ) from None


@cache
def defaults(schema: type[Options]) -> Options:
    """Return the options of a request without any; they are frozen."""
    return _validate(schema, {})


def _parameters(schema: type[StrictObject], query: bytes) -> list[tuple[str, Any]]:
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )
    except ValueError:
        what = f"expected a query of at most {_MAX_PARAMETERS} name=value pairs"
        raise UnprocessableError(Fault("", what)) from None
    return [
        (name, [*map(_value, text.split(","))])
        if name in schema.comma_separated
        else (name, _value(text))
        for name, text in pairs
    ]


def _value(text: str) -> bool | int | float | str:
    """Return a text as a boolean or a number if it is one, else as it is."""
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _merge(
    schema: type[StrictObject],
    members: Mapping[str, Any],
    parameters: list[tuple[str, Any]],
) -> dict[str, Any]:
    """Return the options of the query and the body together."""
    merged = dict(members)
    seen = set[str]()
    for name, value in parameters:
        if name in seen:
            what = "expected once, got it twice in the query"
            raise UnprocessableError(Fault(_pointer(name), what))
        seen.add(name)
        if name not in merged or _is_default(schema, name, merged[name]):
            merged[name] = value
        elif not (
            _is_default(schema, name, value) or _are_the_same(value, merged[name])
        ):
            got = f"{_show(value)} in the query and {_show(merged[name])} in the body"
            what = f"expected one value, got {got}"
            raise UnprocessableError(Fault(_pointer(name), what))
    return merged


def _is_default(schema: type[StrictObject], name: str, value: object) -> bool:
    """Return whether a value is the default of its option."""
    field = schema.model_fields.get(name)
    default = field.default if field else _NO_DEFAULT
    return _are_the_same(value, default)


def _are_the_same(one: object, other: object) -> bool:
    """Return whether two values are equal; 1 equals 1.0 but not true."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _show(value: object) -> str:
    """Return a number, a boolean or a short word as JSON; of others, the kind."""
    is_word = isinstance(value, str) and value.isidentifier() and len(value) <= 40
    if is_word or isinstance(value, bool | int | float):
        return json.dumps(value)
    return kind(value)


def _fault(fault: Any, schema: type[StrictObject]) -> Fault:
    pointer = _pointer(*fault["loc"])
    if fault["type"] == "extra_forbidden":
        if fault["loc"][0] in schema.elsewhere:
            return Fault(pointer, schema.elsewhere[str(fault["loc"][0])])
        known = ", ".join(schema.model_fields) or "no options"
        return Fault(pointer, f"unknown name; known here: {known}")
    wanted = fault["msg"].removeprefix("Input should be ")
    if wanted.startswith(("greater", "less")):
        wanted = f"a number {wanted}"
    return Fault(pointer, f"expected {wanted}, got {kind(fault['input'])}")


def _pointer(*path: int | str) -> str:
    """Return the pointer to a short, plain name; to the whole document otherwise."""
    name = str(path[0])
    return f"/{name}" if name.isidentifier() and len(name) <= 40 else ""
