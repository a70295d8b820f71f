"""
Points at which a long computation may be interrupted, so that others get a turn.

A pause changes no result: the state of a computation is its own, noise is a function of
seed and position, and after the pause it goes on where it stopped.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Pause = Callable[[], None]

_pause: ContextVar[Pause] = ContextVar("pause")


def pause() -> None:
    """Pause if the caller of the computation wishes; it may raise, to end it."""
    wished = _pause.get(None)
    if wished is not None:
        wished()


@contextmanager
def pausing(wished: Pause) -> Iterator[None]:
    """Call `wished` at every `pause` of this thread, within the block."""
    token = _pause.set(wished)
    try:
        yield
    finally:
        _pause.reset(token)
