"""Copies a checkpoint that is behind a URL, before the service starts."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import NoReturn

from app.server.startup import StartError
from app.settings import Settings


def with_checkpoint_here(settings: Settings) -> Settings:
    """
    Copy a checkpoint that is behind a URL; return settings whose limits fit it.

    Default limits depend on the size of the weights, which is known after the copy.

    Raises:
        StartError: The checkpoint cannot be copied.
    """
    if isinstance(settings.checkpoint, Path):
        return settings
    copies = import_module("model.remote.copies")  # only here: a start must be fast
    with _stop_on_signals():
        try:
            copies.local_checkpoint(settings.checkpoint, settings.checkpoint_cache)
        except ValueError as error:
            raise StartError(str(error)) from error
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return Settings(**given)


@contextmanager
def _stop_on_signals() -> Iterator[None]:
    """
    End quietly at a stop signal, and ignore SIGHUP: the newest is being copied anyway.

    A copy may take minutes, and process 1 of a container has no handlers by default.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can handle signals
        return
    before = {
        number: signal.signal(number, handler)
        for number, handler in (
            (signal.SIGHUP, signal.SIG_IGN),
            (signal.SIGTERM, _stop),
            (signal.SIGINT, _stop),
        )
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(_: int, __: FrameType | None) -> NoReturn:
    raise SystemExit(0)
