"""
Encode many files with Ray Data: an actor for each core, codes as Parquet.

    python -m deploy.ray.encode CHECKPOINT OUT FILE...

FILE is a `.npy` array of rows that every node can read. OUT is a folder, or a URL that
Ray can write; its Parquet files have `path`, `row`, `mu` and `log_var`. The bits are
those of `/encode` and of the local commands, whatever the number of actors.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.data import Dataset

from model.bulk.conversion import ValueOutsideError, encode_block
from model.engine import Engine
from model.remote.copies import local_checkpoint

SLICE_ROWS = 4096  # of a file that a task reads
BATCH_ROWS = 1024
X, PATH, ROW = "x", "path", "row"

_Batch = dict[str, NDArray[Any]]


class EncodingActor:
    """An actor of Ray Data: the engine of one core."""

    def __init__(self, checkpoint: str) -> None:
        self._engine = Engine.load(
            local_checkpoint(checkpoint), device="cpu", backend="auto", n_threads=1
        )

    def __call__(self, batch: _Batch) -> _Batch:
        """
        Replace the rows of a batch by `mu` and `log_var`; keep its other columns.

        Raises:
            ValueError: A value is outside of what the model accepts; the message has
                the file and the row where they are columns.
        """
        try:
            found = encode_block(self._engine, batch[X])
        except ValueOutsideError as error:
            raise ValueError(_where(batch, error)) from error
        others = {name: values for name, values in batch.items() if name != X}
        return {**others, "mu": found.mu, "log_var": found.log_var}


def encoded(rows: Dataset, checkpoint: str, *, n_actors: int | None = None) -> Dataset:
    """
    Return a data set with `mu` and `log_var` in place of `x`; nothing is computed yet.

    Args:
        rows: With a column `x`; its other columns are kept.
        checkpoint: A directory that every node can read, or a URL.
        n_actors: How many actors; None for the cores of the cluster.
    """
    if n_actors is None:
        n_actors = max(1, int(ray.cluster_resources().get("CPU", 1)) - 1)
    return rows.map_batches(
        EncodingActor,
        fn_constructor_args=(checkpoint,),
        batch_size=BATCH_ROWS,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=n_actors),
    )


def rows_of(files: Sequence[str]) -> Dataset:
    """
    Return the rows of `.npy` files, as `x`, each with `path` and `row`.

    Raises:
        ValueError: A file cannot be read, or has no rows.
    """
    slices = [
        {PATH: file, "start": start, "stop": min(start + SLICE_ROWS, n)}
        for file in files
        for n in [len(_opened(file))]
        for start in range(0, n, SLICE_ROWS)
    ]
    if not slices:
        raise ValueError(f"expected rows in {', '.join(files)[:200]}, got none")
    return ray.data.from_items(slices).map_batches(_read, batch_size=1)


def _read(batch: _Batch) -> _Batch:
    """Return the rows of one slice."""
    path = str(batch[PATH][0])
    start, stop = int(batch["start"][0]), int(batch["stop"][0])
    return {
        PATH: np.full(stop - start, path),
        ROW: np.arange(start, stop),
        X: np.array(_opened(path)[start:stop]),
    }


def _opened(path: str) -> NDArray[Any]:
    try:
        rows: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as .npy: {error}") from error
    if not isinstance(rows, np.ndarray) or rows.ndim < 2:
        raise ValueError(f"{path}: expected an array of rows, (N, ...)")
    found: NDArray[Any] = rows
    return found


def _where(batch: _Batch, error: ValueOutsideError) -> str:
    """Return the error with file and row, if the batch knows them."""
    if PATH not in batch or ROW not in batch:
        return str(error)
    i, d = error.index
    return f"{batch[PATH][i]}: row {batch[ROW][i]}, value {d}: {error.why}"


def main(words: Sequence[str] | None = None) -> int:
    """Encode the files of the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.ray.encode",
        description="Encode .npy files with Ray Data.",
    )
    parser.add_argument("checkpoint", help="a directory or a URL")
    parser.add_argument("out", help="folder of the Parquet files")
    parser.add_argument("files", nargs="+", help=".npy files")
    parser.add_argument("--actors", type=int, help="by default the cores but one")
    options = parser.parse_args(words)
    checkpoint = options.checkpoint
    if "://" not in checkpoint:
        checkpoint = str(Path(checkpoint).resolve())
    files = [str(Path(file).resolve()) for file in options.files]
    try:
        rows = rows_of(files)
        encoded(rows, checkpoint, n_actors=options.actors).write_parquet(options.out)
    except (ValueError, ray.exceptions.RayError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
