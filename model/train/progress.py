"""What a run shows on standard error, and how signals stop it."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tqdm import tqdm


def say(words: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(words + "\n")


@contextmanager
def phase(name: str, *, total: int = 1) -> Iterator[Callable[[int], object]]:
    """
    Show a phase of the run: a bar on a terminal, else a line.

    Yields a function to call with the number of rows that were done.
    """
    with tqdm(
        desc=name,
        total=total,
        disable=None,  # no bar if standard error is not a terminal
        leave=False,
        unit="row" if total > 1 else "part",
    ) as bar:
        if bar.disable:
            say(f"{name} ...")
        yield bar.update
        if total == 1:
            bar.update(1)


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Record the first SIGINT or SIGTERM; the second one ends the process."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
