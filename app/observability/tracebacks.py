"""
Tracebacks for the log without the messages of exceptions.

A message may repeat what a client sent, and a log holds nothing of that. Which
exception it was and where it was raised says what is wrong with the code.
"""

import logging
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
    """Return the traceback of an exception and of what caused it, oldest first."""
    parts = list(_parts(error))
    return "\n".join(reversed(parts))


def name_of(error: BaseException) -> str:
    """Return the name of the class of an exception, with its module."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


@final
class Formatter(logging.Formatter):
    """Formats log records; of their exceptions it leaves out the messages."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as text, whatever another formatter has kept in it."""
        record = copy(record)
        record.exc_text = None
        return super().format(record)

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802  logging's own name
        """Return a traceback without messages."""
        return without_messages(ei[1]) if ei[1] is not None else ""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line of a record; asyncio adds exceptions as further lines."""
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
