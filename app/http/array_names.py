"""Which of the arrays x and z a body has, before it is parsed."""

import re
from typing import Literal

from app.wire import safetensors
from app.wire.body import Body
from app.wire.json import strict
from app.wire.json.rows import is_named, outside_array

Name = Literal["x", "z"]

_PATTERNS: dict[Name, re.Pattern[bytes]] = {
    "x": re.compile(rb'"x"[ \t\r\n]*:'),
    "z": re.compile(rb'"z"[ \t\r\n]*:'),
}


def names_in(body: Body, columns: tuple[str, ...] | None) -> list[Name]:
    """
    Return which of x and z a body has.

    Args:
        columns: The names that rows of x may have in JSON, of which one may be x or z
            too; None for a body in safetensors.

    Raises:
        UnprocessableError: It is not a JSON object.
    """
    if columns and len(body) <= strict.MAX_EXPLAINED_BYTES:
        members = strict.parse_members(body)
        return [name for name in _PATTERNS if name in members]
    if columns and is_named(body):
        return ["x"]
    head = safetensors.head(body) if columns is None else outside_array(body)
    return [name for name, pattern in _PATTERNS.items() if pattern.search(head)]
