"""A run: compute the blocks of the rows on all cores, and write them to the output."""

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event, Lock
from time import monotonic
from typing import final

import numpy as np

from model.bulk.operations import ComputedRows, Operation
from model.bulk.output import AnyRows, ArrayLayout, OutputFile
from model.bulk.progress import RowProgress

# Saving waits for the disk, while other threads compute: little is left for the end.
_SAVED_SECONDS = 2.0
_SHOWN_SECONDS = 0.25


@final
@dataclass(frozen=True, eq=False)
class Blocks:
    """
    The blocks that the rows are cut into: at multiples of `size`, whatever the rows.

    Attributes:
        rows: Those that the run computes.
    """

    rows: range
    size: int

    @property
    def numbers(self) -> range:
        """Their numbers."""
        return range(self.rows.start // self.size, -(-self.rows.stop // self.size))

    def part(self, number: int) -> slice:
        """Return the rows of a block."""
        start = max(self.rows.start, number * self.size)
        return slice(start, min(self.rows.stop, (number + 1) * self.size))

    def n_rows(self, number: int) -> int:
        """Return how many rows a block has."""
        part = self.part(number)
        return int(part.stop - part.start)


@final
class BlockWork:
    """
    Computes blocks in several threads and writes their rows.

    The engine computes without the interpreter's lock, so threads are enough for all
    cores, and they share one model.
    """

    def __init__(
        self,
        operation: Operation,
        blocks: Blocks,
        output: OutputFile,
        arrays: Sequence[ArrayLayout],
    ) -> None:
        self._operation = operation
        self._blocks = blocks
        self._output = output
        self._arrays = arrays
        self._stop = Event()
        self._lock = Lock()  # of the attributes below, and of what waits
        self._done: set[int] = set()
        self._n_rows = 0

    def run(
        self,
        done: Collection[int],
        *,
        n_threads: int,
        progress: RowProgress,
        save: Callable[[Collection[int]], None],
    ) -> None:
        """
        Compute all blocks but those that are done.

        Args:
            save: Called now and then, and at the end, also if a block fails, with the
                blocks of which all rows have been written.

        Raises:
            ValueError: A row cannot be used; of several such rows, the first that was
                found.
        """
        self._done = set(done)
        self._n_rows = sum(map(self._blocks.n_rows, done))
        waiting = iter([n for n in self._blocks.numbers if n not in self._done])
        with ThreadPoolExecutor(n_threads, thread_name_prefix="rows") as threads:
            try:
                running = {
                    threads.submit(self._work, waiting) for _ in range(n_threads)
                }
                saved = monotonic()
                while running:
                    ended, running = wait(running, _SHOWN_SECONDS, FIRST_COMPLETED)
                    for future in ended:
                        future.result()
                    progress.show(self._n_rows)
                    if monotonic() - saved > _SAVED_SECONDS:
                        save(self._done_now())
                        saved = monotonic()
            finally:
                self._stop.set()
                threads.shutdown()
                save(self._done_now())

    def _done_now(self) -> Collection[int]:
        with self._lock:
            return set(self._done)

    def _work(self, waiting: Iterator[int]) -> None:
        """Compute blocks until none waits or the run stops, in one of the threads."""
        try:
            while not self._stop.is_set():
                with self._lock:
                    number = next(waiting, None)
                if number is None or not self._compute(number):
                    return
                with self._lock:
                    self._done.add(number)
        except BaseException:
            self._stop.set()
            raise

    def _compute(self, number: int) -> bool:
        """Compute a block; return False if the run stops before its end."""
        for piece in self._operation.pieces(self._blocks.part(number)):
            if self._stop.is_set():
                return False
            n_rows = self._write(piece)
            with self._lock:
                self._n_rows += n_rows
        return True

    def _write(self, piece: ComputedRows) -> int:
        """Write the rows of a piece; return how many there are."""
        n_rows = 0
        for array in self._arrays:
            rows = piece.arrays[array.name]
            n_rows = len(rows)
            place = piece.first - self._blocks.rows.start
            self._output.write(array, place, self._stored(array, piece.first, rows))
        return n_rows

    def _stored(self, array: ArrayLayout, first: int, rows: AnyRows) -> AnyRows:
        """Return rows in the dtype of the output, and check what must be finite."""
        with np.errstate(over="ignore"):
            stored = rows.astype(array.dtype, copy=False)
        may_be_missing = array.name in self._operation.may_be_missing
        is_missing = np.isnan(rows) & may_be_missing
        is_good = np.isfinite(stored) | is_missing
        if is_good.all():
            return stored
        i = int(np.argmin(is_good.reshape(len(rows), -1).all(axis=1)))
        name = self._operation.example(first + i)
        if (np.isfinite(rows[i]) | is_missing[i]).all():
            raise ValueError(
                f"{name}: the {array.name} does not fit {array.dtype.name}; leave out"
                " --dtype"
            )
        raise ValueError(f"{name}: the model's {array.name} is not finite; too large?")
