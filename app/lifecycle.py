"""Whether the service takes requests: it loads, is ready, and drains."""

from typing import Literal, final

from app.errors import UnavailableError

Phase = Literal["loading", "ready", "draining"]

RETRY_AFTER_SECONDS = 1


@final
class Lifecycle:
    """The phase the service is in."""

    def __init__(self) -> None:
        self.phase: Phase = "loading"

    def check_ready(self) -> None:
        """
        Check that requests are taken.

        Raises:
            UnavailableError: They are not, yet or any more.
        """
        if self.phase != "ready":
            raise UnavailableError(
                f"the service is {self.phase}; ask again",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
