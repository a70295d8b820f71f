"""
The phases of the service: loading, ready, leaving, draining, ended.

On SIGTERM the service is leaving: `/readyz` returns 503, so that load balancers send no
more requests. Requests that still arrive are answered, with `Connection: close`. Then,
after a delay, it is draining: requests in progress are finished, new ones get 503. At
last the server receives the signal, closes its sockets, and waits for the last
response. Then the service has ended: its log is written, and the process exits as soon
as its threads do.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal, cast, final

from app.errors import UnavailableError

Phase = Literal["loading", "ready", "leaving", "draining", "ended"]
_Handler = Callable[[int, FrameType | None], object]

RETRY_AFTER_SECONDS = 1
# Time to answer connections that wait to be accepted, before the socket is closed.
REFUSAL_SECONDS = 0.5


@final
class Lifecycle:
    """
    The phase the service is in.

    Attributes:
        is_serving: Whether requests are still accepted.
        is_leaving: Whether connections are to be closed after a response.
        has_ended: Whether all requests are answered, and the log is written.
    """

    def __init__(self) -> None:
        self.enter("loading")

    def enter(self, phase: Phase) -> None:
        """Begin a phase."""
        self.phase = phase
        self.is_serving = phase in {"ready", "leaving"}
        self.is_leaving = phase in {"leaving", "draining", "ended"}
        self.has_ended = phase == "ended"

    def check_ready(self) -> None:
        """
        Check that load balancers should send requests here.

        Raises:
            UnavailableError: The service is loading or stopping.
        """
        if self.phase != "ready":
            raise self.unavailable()

    @contextmanager
    def drain_on_sigterm(self, delay: float) -> Iterator[None]:
        """Handle SIGTERM: leave, and pass the signal to the server after a delay."""
        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or not callable(signal.getsignal(signal.SIGTERM)):
            yield  # signals go to another thread, or no server handles them
            return
        loop = asyncio.get_running_loop()
        server = cast("_Handler", signal.getsignal(signal.SIGTERM))

        def drain(frame: FrameType | None) -> None:
            self.enter("draining")
            loop.call_later(REFUSAL_SECONDS, server, signal.SIGTERM, frame)

        def leave(number: int, frame: FrameType | None) -> None:
            if self.phase == "ready":
                self.enter("leaving")
                loop.call_soon_threadsafe(loop.call_later, delay, drain, frame)
            else:  # a second signal: stop at once
                server(number, frame)

        signal.signal(signal.SIGTERM, leave)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, server)

    def unavailable(self) -> UnavailableError:
        """Return the error for a request that is not accepted in this phase."""
        return UnavailableError(
            f"the service is {self.phase}; try again",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )


def shut_down() -> UnavailableError:
    """Return the error for a request that is interrupted at the end of the drain."""
    return UnavailableError(
        "the service shut down before the response was ready; try again",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )
