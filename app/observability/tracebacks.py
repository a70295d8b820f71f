"""
Tracebacks for the log, without exception messages.

A message may repeat data that a client sent, and the log must not contain any. The
class of the exception and where it was raised are enough to find a bug.
"""

import logging
import time
import traceback
from collections.abc import Iterator
from copy import copy
from types import TracebackType
from typing import final

_MOST_CAUSES = 8
_ExcInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None]
    | tuple[None, None, None]
)


def without_messages(error: BaseException) -> str:
    """Return the traceback of an exception and its causes, oldest first."""
    parts = list(_parts(error))
    return "\n".join(reversed(parts))


def name_of(error: BaseException) -> str:
    """Return the qualified name of an exception's class."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


@final
class Formatter(logging.Formatter):
    """Formats log records without the messages of their exceptions."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as text; ignore a traceback cached by another formatter."""
        record = copy(record)
        record.exc_text = None
        return super().format(record)

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802  logging's own name
        """Return a traceback without messages."""
        return without_messages(ei[1]) if ei[1] is not None else ""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return a record's message; drop the further lines that asyncio adds."""
        if record.name == "asyncio":
            record.message = record.message.partition("\n")[0]
        return super().formatMessage(record)


def _parts(error: BaseException) -> Iterator[str]:
    found: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if found is None:
            return
        frames = "".join(traceback.format_tb(found.__traceback__))
        yield f"Traceback (most recent call last):\n{frames}{name_of(found)}"
        hidden = found.__suppress_context__
        found = found.__cause__ or (None if hidden else found.__context__)
