"""
Whether the service takes requests: it loads, is ready, leaves, and drains.

At SIGTERM it leaves: `/readyz` says so, so that no balancer sends it more, while what
still comes is answered, each answer with `Connection: close`. After a delay it drains:
what was taken is answered, what still comes is told 503. Then the server hears the
signal, listens no longer, and ends with the last answer.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal, cast, final

from app.errors import UnavailableError

Phase = Literal["loading", "ready", "leaving", "draining"]
_Handler = Callable[[int, FrameType | None], object]

RETRY_AFTER_SECONDS = 1
# Until the server closes its socket, on which connections nobody has read may wait.
_REFUSAL_SECONDS = 0.5


@final
class Lifecycle:
    """The phase the service is in."""

    def __init__(self) -> None:
        self.phase: Phase = "loading"

    @property
    def is_leaving(self) -> bool:
        """Whether connections are to be closed after an answer."""
        return self.phase in {"leaving", "draining"}

    def check_ready(self) -> None:
        """
        Check that requests should be sent here.

        Raises:
            UnavailableError: They should not, yet or any more.
        """
        if self.phase != "ready":
            raise self._unavailable()

    def check_serving(self) -> None:
        """
        Check that requests are answered.

        Raises:
            UnavailableError: They are not, yet or any more.
        """
        if self.phase not in {"ready", "leaving"}:
            raise self._unavailable()

    @contextmanager
    def leaving_at_sigterm(self, delay: float) -> Iterator[None]:
        """Take SIGTERM first, and pass it on to the server after so many seconds."""
        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or not callable(signal.getsignal(signal.SIGTERM)):
            yield  # no signal comes here, or no server waits for it
            return
        loop = asyncio.get_running_loop()
        server = cast("_Handler", signal.getsignal(signal.SIGTERM))

        def drain(frame: FrameType | None) -> None:
            self.phase = "draining"
            loop.call_later(_REFUSAL_SECONDS, server, signal.SIGTERM, frame)

        def leave(number: int, frame: FrameType | None) -> None:
            if self.phase == "ready":
                self.phase = "leaving"
                loop.call_soon_threadsafe(loop.call_later, delay, drain, frame)
            else:  # asked twice: no more patience
                server(number, frame)

        signal.signal(signal.SIGTERM, leave)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, server)

    def _unavailable(self) -> UnavailableError:
        return UnavailableError(
            f"the service is {self.phase}; ask again",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )


def ended() -> UnavailableError:
    """Return what to say of a request that the end of the drain interrupts."""
    return UnavailableError(
        "the service ends before the answer is there; ask again",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )
