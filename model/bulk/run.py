"""A run: compute the blocks of the rows on all cores, and write them to the output."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from threading import Event, Lock
from time import monotonic
from typing import final

import numpy as np

from model.bulk.operations import Operation, Piece
from model.bulk.output import AnyRows, ArrayLayout, OutputFile
from model.bulk.progress import RowProgress

_SAVED_SECONDS = 10.0
_SHOWN_SECONDS = 0.25


@final
class _StopError(Exception):
    """The run stops; the block is not computed to its end."""


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
        self._lock = Lock()
        self._n_rows = 0

    def run(
        self,
        done: set[int],
        *,
        n_threads: int,
        progress: RowProgress,
        save: Callable[[], None],
    ) -> None:
        """
        Compute all blocks that are not done, and add them to `done`.

        Args:
            save: Called now and then, and at the end, also if a block fails: all rows
                of the blocks in `done` have been written.

        Raises:
            ValueError: A row cannot be used; of several such rows, the first that was
                found.
        """
        self._n_rows = sum(map(self._blocks.n_rows, done))
        waiting = iter([n for n in self._blocks.numbers if n not in done])
        with ThreadPoolExecutor(n_threads, thread_name_prefix="rows") as threads:
            try:
                running = self._submit(threads, islice(waiting, 2 * n_threads))
                saved = monotonic()
                while running:
                    ended = wait(running, _SHOWN_SECONDS, FIRST_COMPLETED).done
                    for future in sorted(ended, key=running.__getitem__):
                        future.result()
                        done.add(running.pop(future))
                    running |= self._submit(threads, islice(waiting, len(ended)))
                    progress.show(self._n_rows)
                    if monotonic() - saved > _SAVED_SECONDS:
                        save()
                        saved = monotonic()
            finally:
                self._stop.set()
                threads.shutdown(cancel_futures=True)
                save()

    def _submit(
        self, threads: ThreadPoolExecutor, numbers: Iterator[int]
    ) -> dict[Future[None], int]:
        return {threads.submit(self._compute, number): number for number in numbers}

    def _compute(self, number: int) -> None:
        for piece in self._operation.pieces(self._blocks.part(number)):
            if self._stop.is_set():
                raise _StopError
            n_rows = self._write(piece)
            with self._lock:
                self._n_rows += n_rows

    def _write(self, piece: Piece) -> int:
        """Write the rows of a piece; return how many there are."""
        n_rows = 0
        for array in self._arrays:
            rows = piece.arrays[array.name]
            n_rows = len(rows)
            place = piece.first - self._blocks.rows.start
            self._output.write(array, place, self._stored(array, piece.first, rows))
        return n_rows

    def _stored(self, array: ArrayLayout, first: int, rows: AnyRows) -> AnyRows:
        """Return rows in the dtype of the output, and check that they are finite."""
        with np.errstate(over="ignore"):
            stored = rows.astype(array.dtype, copy=False)
        if np.isfinite(stored).all():
            return stored
        i = int(np.argmin(np.isfinite(stored).reshape(len(rows), -1).all(axis=1)))
        name = self._operation.example(first + i)
        if np.isfinite(rows[i]).all():
            raise ValueError(
                f"{name}: the {array.name} does not fit {array.dtype.name}; leave out"
                " --dtype"
            )
        raise ValueError(f"{name}: the model's {array.name} is not finite; too large?")
