"""Reports how many rows of a call are done, while its requests are answered."""

from collections.abc import Callable
from threading import Lock
from typing import final

# Called with the number of rows that are done, and of all rows of the call.
OnProgress = Callable[[int, int], object]


@final
class RowCounter:
    """
    Counts the rows of one call.

    Args:
        on_progress: Called after each request, by one thread at a time; may be None.
        n_rows: The rows of all requests of the call.
    """

    def __init__(self, on_progress: OnProgress | None, n_rows: int) -> None:
        self._on_progress = on_progress
        self._n_rows = n_rows
        self._n_done = 0
        self._lock = Lock()

    def add(self, n_rows: int) -> None:
        """Count rows that are done."""
        if self._on_progress is None or not n_rows:
            return
        with self._lock:
            self._n_done += n_rows
            self._on_progress(self._n_done, self._n_rows)
