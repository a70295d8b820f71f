"""The scalars of a request, from its query and its body, checked by one schema."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl

from pydantic import ValidationError

from app.errors import MAX_FAULTS, Fault, UnprocessableError
from app.schemas import Body
from app.wire.json.strict import kind

Options = TypeVar("Options", bound=Body)

_INTEGER = re.compile(r"-?\d{1,20}", re.ASCII)
_FLOAT = re.compile(r"-?\d{1,20}(\.\d{1,40})?([eE][-+]?\d{1,3})?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
_MAX_PARAMETERS = 16


def read(schema: type[Options], members: Mapping[str, Any], query: bytes) -> Options:
    """
    Return the options of a request; one given in query and body is refused.

    Raises:
        UnprocessableError: A name is unknown or given twice, or a value is bad.
    """
    if not members and not query:
        return cast("Options", _defaults(schema))
    if query:
        members = _merged(members, _parameters(query))
    return _checked(schema, members)


def _checked(schema: type[Options], members: Mapping[str, Any]) -> Options:
    try:
        return schema.model_validate(members)
    except ValidationError as error:
        raise UnprocessableError(
            *(_fault(fault, schema) for fault in error.errors()[:MAX_FAULTS])
        ) from None


@cache
def _defaults(schema: type[Options]) -> Options:
    """Return the options of a request that says nothing; they are frozen."""
    return _checked(schema, {})


def _parameters(query: bytes) -> list[tuple[str, Any]]:
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
    return [(name, _value(text)) for name, text in pairs]


def _value(text: str) -> bool | int | float | str:
    """Return the number or the boolean a text is, or the text."""
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _merged(
    members: Mapping[str, Any], parameters: list[tuple[str, Any]]
) -> dict[str, Any]:
    merged = dict(members)
    for name, value in parameters:
        if name in merged:
            what = "expected once, in the query or in the body, got it twice"
            raise UnprocessableError(Fault(_pointer(name), what))
        merged[name] = value
    return merged


def _fault(fault: Any, schema: type[Body]) -> Fault:
    pointer = _pointer(*fault["loc"])
    if fault["type"] == "extra_forbidden":
        if fault["loc"][0] in schema.elsewhere:
            return Fault(pointer, schema.elsewhere[str(fault["loc"][0])])
        known = ", ".join(schema.model_fields) or "no options"
        return Fault(pointer, f"unknown name; there are here: {known}")
    wanted = fault["msg"].removeprefix("Input should be ")
    return Fault(pointer, f"expected {wanted}, got {kind(fault['input'])}")


def _pointer(*path: int | str) -> str:
    """Return the pointer of a name that is short and plain, else the document's."""
    name = str(path[0])
    return f"/{name}" if name.isidentifier() and len(name) <= 40 else ""
