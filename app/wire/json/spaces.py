"""
Finds the array of a long body that has much white space around it.

JSON may have any amount of it anywhere. A body is looked at in steps of a bounded size,
forward to the first `[` and backward to the last `]`; runs of white space count as one.
"""

import re

from app.wire.body import Body
from app.wire.json.skeleton import Cut

STEP_BYTES = 1 << 17
_MOST_BYTES = 4096  # of text besides white space, on either side of the array
_RUN = re.compile(rb"[ \t\r\n]+")


def cut(body: Body) -> Cut | None:
    """Return a body without its array; None if there is long text around it."""
    head, start = b"", -1
    for at in range(0, len(body), STEP_BYTES):
        step = bytes(body[at : at + STEP_BYTES])
        found = step.find(b"[")
        head += _RUN.sub(b" ", step if found < 0 else step[: found + 1])
        if found >= 0:
            start = at + found
            break
        if len(head) > _MOST_BYTES:
            return None
    tail, stop = b"", -1
    for end in range(len(body), max(start, 0), -STEP_BYTES):
        at = max(start, end - STEP_BYTES, 0)
        step = bytes(body[at:end])
        found = step.rfind(b"]")
        tail = _RUN.sub(b" ", step if found < 0 else step[found:]) + tail
        if found >= 0:
            stop = at + found + 1
            break
        if len(tail) > _MOST_BYTES:
            return None
    if start < 0 or stop < start or len(head) + len(tail) > 2 * _MOST_BYTES:
        return None
    return Cut(start, stop, head + tail)
