"""Which of the arrays x and z a body has, before it is parsed."""

import re

from app.wire import safetensors
from app.wire.body import Body
from app.wire.json import strict
from app.wire.json.rows import is_named, outside_array

_X, _Z = (re.compile(rb'"%c"[ \t\r\n]*:' % name) for name in (b"x", b"z"))


def found(body: Body, columns: tuple[str, ...] | None) -> tuple[bool, bool]:
    """
    Return whether a body has x, and whether it has z.

    Args:
        columns: The names that rows of x may have in JSON, of which one may be x or z
            too; None for a body in safetensors.

    Raises:
        UnprocessableError: It is not a JSON object.
    """
    if columns and len(body) <= strict.MAX_EXPLAINED_BYTES:
        members = strict.parse_members(body)
        return "x" in members, "z" in members
    if columns and is_named(body):
        return True, False
    head = safetensors.head(body) if columns is None else outside_array(body)
    return _X.search(head) is not None, _Z.search(head) is not None
