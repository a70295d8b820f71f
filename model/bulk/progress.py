"""The progress of a run on standard error: rows done, rows per second, time left."""

import sys
from time import monotonic
from typing import final

_SECONDS_BETWEEN = {True: 0.25, False: 30.0}  # on a terminal, in a log


@final
class RowProgress:
    """
    A line that is rewritten on a terminal, and a line now and then in a log.

    Not a bar of tqdm, which is not installed where only serving is.
    """

    def __init__(self, what: str, *, total: int, done: int) -> None:
        self._what = what
        self._total = total
        self._before = done  # by an earlier run
        self._is_terminal = sys.stderr.isatty()
        self._started = self._shown = monotonic()

    def show(self, done: int) -> None:
        """Show how many rows are done, if it is time to."""
        now = monotonic()
        if now - self._shown < _SECONDS_BETWEEN[self._is_terminal]:
            return
        self._shown = now
        line = f"{self._what}: {self.words(done)}"
        sys.stderr.write(f"\r{line}\x1b[K" if self._is_terminal else f"{line}\n")
        sys.stderr.flush()

    def words(self, done: int) -> str:
        """Return "45 %, 450,000 of 1,000,000 rows, 98,512 rows/s, 6 s left"."""
        rate = self.rate(done)
        share = f"{100 * done // self._total} %, {done:,} of {self._total:,} rows"
        if not rate:
            return share
        left = _duration((self._total - done) / rate)
        return f"{share}, {rate:,.0f} rows/s, {left} left"

    def rate(self, done: int) -> float:
        """Return the rows per second of this run."""
        seconds = monotonic() - self._started
        return (done - self._before) / seconds if seconds else 0.0

    def end(self, done: int) -> str:
        """Clear the line, and return the time of this run with its rate."""
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")
        seconds = monotonic() - self._started
        return f"{_duration(seconds)}, {self.rate(done):,.0f} rows/s"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
