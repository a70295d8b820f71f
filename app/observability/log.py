"""The log for operators, on standard error; each record begins with its UTC time."""

import logging
from collections.abc import Callable
from typing import final

from app.observability.output import Output
from app.observability.tracebacks import Formatter

STANDARD_ERROR = 2
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@final
class LogHandler(logging.Handler):
    """Passes log records to an output, which never blocks."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self.output = output
        self.setFormatter(Formatter(_FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record."""
        self.output.write_lines(self.format(record))


def install(level: str) -> LogHandler:
    """Set up logging to standard error."""
    handler = LogHandler(Output(STANDARD_ERROR))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    return handler


def count_dropped(count: Callable[[int], object]) -> None:
    """Call a function with the number of lines that an installed log drops."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogHandler):
            handler.output.on_drop = count
