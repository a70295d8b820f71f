"""
Limits how deeply arrays and objects of a JSON text are nested.

Python's parser takes stack for each level. Before Python 3.14 it refuses about a
thousand levels; since then it takes as many as there is stack for, which is megabytes
of memory. So deeply nested texts are refused before they are parsed.
"""

import numpy as np

from app.wire.body import Body

MAX_LEVELS = 500  # which Python 3.11 parses, also in a deep call
TOO_DEEP = "expected JSON, got arrays or objects nested too deeply"

_STRUCTURE = b'"[]{}'
_NOT_STRUCTURE = bytes(set(range(256)) - set(_STRUCTURE))
_QUOTE = np.uint8(ord('"'))
_STEPS = bytes.maketrans(_STRUCTURE, b"\x00\x01\xff\x01\xff")  # 0, and 1 or -1


def is_too_deep(text: Body) -> bool:
    """Return whether a text has more than `MAX_LEVELS` open brackets somewhere."""
    if text.count(b"[") + text.count(b"{") <= MAX_LEVELS:
        return False
    unescaped = text.replace(rb"\\", b"").replace(rb"\"", b"")
    structure = unescaped.translate(None, _NOT_STRUCTURE)
    is_quote = np.frombuffer(structure, np.uint8) == _QUOTE
    in_string = np.cumsum(is_quote, dtype=np.uint8) & 1
    steps = np.frombuffer(structure.translate(_STEPS), np.int8) * (1 - in_string)
    return bool(np.cumsum(steps, dtype=np.int32).max(initial=0) > MAX_LEVELS)
