"""Usual mistakes in JSON bodies: what is wrong, and what to send instead."""

import re
from collections.abc import Collection, Mapping
from json import JSONDecodeError
from typing import Any

_COMMA_AT_THE_END = re.compile(r",\s*[}\]]")
_WORDS_OF_PYTHON = re.compile(r"(None|True|False|nan|inf)\b")


def syntax(text: str, error: JSONDecodeError, at: int) -> str:
    """
    Return what is wrong with a text that is not JSON.

    Args:
        at: The position of the error in the body.
    """
    if not text.strip():
        return "expected JSON, got an empty body"
    what = f"expected JSON, got an error at position {at}: {error.msg}"
    before = max(len(text[: error.pos].rstrip()) - 1, 0)
    # Python 3.13 has the position of the comma, earlier ones that of the bracket.
    if any(_COMMA_AT_THE_END.match(text, begin) for begin in (before, error.pos)):
        return f"{what}; remove the comma before it"
    if text[error.pos : error.pos + 1] == "'":
        return f"{what}; write double quotes, not single ones"
    if _WORDS_OF_PYTHON.match(text, error.pos):
        return f"{what}; write null, true or false"
    return what


def no_split(table: Mapping[str, Any], missing: str, columns: Collection[str]) -> str:
    """Return what is wrong with an object that lacks one of `columns` and `data`."""
    if table.keys().isdisjoint(columns):
        return f"expected an object with columns and data, got no {missing}"
    if any(isinstance(value, list) for value in table.values()):
        return (
            "expected rows, got a list for each column; send an object for each row, "
            '[{...}, ...], or {"columns": [...], "data": [[...], ...]}'
        )
    return "expected an array of rows, got one row; put it in brackets: [{...}]"


def no_x(members: Mapping[str, Any], name: str, columns: Collection[str]) -> str:
    """Return what to do if a body is a row itself; empty if it is not."""
    if members.keys().isdisjoint(columns):
        return ""
    return f'; send the row as {{"{name}": [{{...}}]}}'
