"""
The command line of the bulk commands: every field of their options is an argument.

It is read with the standard library, not with tyro, which is not installed where only
serving is.
"""

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from inspect import cleandoc
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from model import docstrings
from model.bulk.options import BulkOptions
from model.files import ReadOptions

_POSITIONAL = ("checkpoint", "input")
_READING = "reading"
_METAVARS: dict[Any, str] = {Path: "PATH", str: "TEXT", int: "INT", float: "NUMBER"}

_Options = TypeVar("_Options", bound=BulkOptions)


def read(schema: type[_Options], arguments: Sequence[str], *, prog: str) -> _Options:
    """
    Return the options that the arguments give.

    Exits after --help, and with status 2 if an argument is unknown or invalid.
    """
    parser = argparse.ArgumentParser(
        prog=prog, description=_description(schema), allow_abbrev=False
    )
    for name in _POSITIONAL:
        if name in schema.__dataclass_fields__:
            _add(parser, schema, schema.__dataclass_fields__[name])
    for one in fields(schema):
        if one.name == _READING:
            for part in fields(ReadOptions):
                _add(parser, ReadOptions, part)
        elif one.name not in _POSITIONAL:
            _add(parser, schema, one)
    given = vars(parser.parse_args(arguments))
    if _READING in schema.__dataclass_fields__:
        names = [part.name for part in fields(ReadOptions)]
        read = {name: given.pop(name) for name in names if name in given}
        given[_READING] = ReadOptions(**read)
    return schema(**given)


def _add(parser: argparse.ArgumentParser, schema: type, one: "Field[Any]") -> None:
    """Add the argument of a field."""
    type_ = _type_of(get_type_hints(schema)[one.name])
    text = _texts(schema)[one.name].replace("%", "%%")  # argparse formats it
    if one.name in _POSITIONAL:
        parser.add_argument(one.name, type=type_, metavar=one.name.upper(), help=text)
        return
    kind: dict[str, Any] = {"type": type_, "metavar": _METAVARS.get(type_)}
    if type_ is bool:
        kind = {"action": argparse.BooleanOptionalAction}
    elif get_origin(type_) is Literal:
        kind = {"choices": get_args(type_)}
    elif get_origin(type_) is tuple:
        kind = {"nargs": "+", "action": _AsTuple, "metavar": "TEXT"}
    if one.default not in (None, (), MISSING):
        text += f" Default: {one.default}."
    parser.add_argument(
        f"--{one.name.replace('_', '-')}",
        default=argparse.SUPPRESS,
        required=one.default is MISSING and one.default_factory is MISSING,
        help=text,
        **kind,
    )


class _AsTuple(argparse.Action):
    """Store several words as a tuple."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, tuple(values))


def _type_of(type_: Any) -> Any:
    """Return the first type of a union but None, else the type itself."""
    if get_origin(type_) not in (Union, UnionType):
        return type_
    return next(one for one in get_args(type_) if one is not type(None))


def _description(schema: type) -> str:
    """Return the first paragraph of a docstring."""
    return cleandoc(schema.__doc__ or "").split("\n\n")[0]


def _texts(schema: type) -> dict[str, str]:
    """Return the text of each attribute in the docstrings of a class and its bases."""
    texts: dict[str, str] = {}
    for one in reversed(schema.__mro__):
        texts |= docstrings.attributes(one.__doc__)
    return texts
