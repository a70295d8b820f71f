"""One job: from a command's options to its output, resumed where it was stopped."""

import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self, final

import numpy as np

from model.bulk import resumption
from model.bulk.operations import Decode, Encode, Operation, Sample, Score
from model.bulk.options import (
    BulkDecodeOptions,
    BulkEncodeOptions,
    BulkOptions,
    BulkSampleOptions,
    BulkScoreOptions,
    FileOptions,
)
from model.bulk.output import ArrayLayout, OutputFile, header, layouts
from model.bulk.progress import RowProgress
from model.bulk.resumption import Identity, InputIdentity
from model.bulk.row_range import row_range
from model.bulk.run import Blocks, BlockWork
from model.bulk.source import RowSource
from model.engine import Engine
from model.files import DataError
from model.machine import available_cores
from model.remote.copies import local_checkpoint

# Options that change no bit of the output, or that are part of an identity otherwise.
_NOT_BITS = ("checkpoint", "input", "out", "threads", "device", "backend")


def run(options: BulkOptions) -> None:
    """
    Load the checkpoint, and compute what the options ask for.

    Raises:
        ValueError: Options, checkpoint or input are invalid.
        OSError: The output cannot be written.
    """
    options.check()
    path = local_checkpoint(options.checkpoint)
    engine = Engine.load(
        path, device=options.device, backend=options.backend, n_threads=1
    )
    run_on(engine, options)


def run_on(engine: Engine, options: BulkOptions) -> None:
    """
    Compute what options that were checked ask for, and write the output.

    Raises:
        ValueError: Options or input are invalid.
        OSError: The output cannot be written.
    """
    job = BulkJob.of(options, engine)
    cores = available_cores() if engine.device == "cpu" else 1
    with OutputFile(options.out, job.head) as output:
        sidecar = Path(f"{output.partial}{resumption.SUFFIX}")
        done = job.done_before(output, sidecar)

        def save(blocks: Collection[int]) -> None:
            output.sync()
            resumption.write(sidecar, job.identity, blocks)

        n_done = sum(map(job.blocks.n_rows, done))
        progress = RowProgress(options.out.name, total=job.n_rows, done=n_done)
        try:
            BlockWork(job.operation, job.blocks, output, job.arrays).run(
                done, n_threads=options.threads or cores, progress=progress, save=save
            )
            _check_unchanged(options, job)
        except ValueError:  # of the input or the options: nothing can be continued
            output.partial.unlink()
            sidecar.unlink()
            raise
        output.publish()
        sidecar.unlink()
    names = ", ".join(array.name for array in job.arrays)
    _say(f"{options.out}: {names} of {job.n_rows:,} rows, {progress.end(job.n_rows)}")


@final
@dataclass(frozen=True, eq=False)
class BulkJob:
    """
    What is computed, and what is written.

    Attributes:
        head: The header of the output.
    """

    operation: Operation
    blocks: Blocks
    identity: Identity
    arrays: Sequence[ArrayLayout]
    head: bytes

    @classmethod
    def of(cls, options: BulkOptions, engine: Engine) -> Self:
        """
        Read the input, and find the arrays of the output by computing a row.

        Raises:
            ValueError: Options or input are invalid.
        """
        before = _identity_of_input(options)  # a later change of the input is noticed
        operation = _operation(options, engine)
        name = options.input.name if isinstance(options, FileOptions) else "--n"
        rows = row_range(options.rows, operation.n_rows, of=name)
        given = {k: v for k, v in asdict(options).items() if k not in _NOT_BITS}
        values = resumption.as_values({**given, "rows": f"{rows.start}:{rows.stop}"})
        identity = Identity(
            checkpoint=engine.checkpoint.sha256,
            input=before,
            options=values,
            software=resumption.software(engine.backend, engine.device),
            block_rows=operation.block_rows,
        )
        arrays = _arrays(options, operation, rows)
        about = {k: str(v) for k, v in values.items() if v is not None}
        about["checkpoint"] = identity.checkpoint
        head = header(options.out.suffix, arrays, len(rows), about)
        return cls(
            operation, Blocks(rows, operation.block_rows), identity, arrays, head
        )

    @property
    def n_rows(self) -> int:
        """How many rows are computed."""
        return len(self.blocks.rows)

    def done_before(self, output: OutputFile, sidecar: Path) -> set[int]:
        """
        Return the blocks that an earlier run has written, after saying so.

        If there is none, or none that can be used, the output is cleared.

        Raises:
            OSError: There is no room for the output.
        """
        size = len(self.head)
        size += sum(self.n_rows * array.row_bytes for array in self.arrays)
        if output.size:
            found = resumption.read(sidecar)
            if isinstance(found, str):
                why: str | None = found
            else:
                why = found.identity.difference(self.identity)
                if why is None and output.is_of(size):
                    done = found.blocks() & set(self.blocks.numbers)
                    n = sum(map(self.blocks.n_rows, done))
                    _say(f"continues after {n:,} of {self.n_rows:,} rows")
                    return done
            _say(f"starts anew: {why or 'the partial file is damaged'}")
        # First, so that the rows of a killed run are not taken for those it describes.
        resumption.remove(sidecar)
        output.clear(size)
        return set()


def _operation(options: BulkOptions, engine: Engine) -> Operation:
    match options:
        case BulkEncodeOptions():
            x = RowSource.of_x(options.input, options.reading, engine)
            _say(*x.notes)
            return Encode(engine, x)
        case BulkDecodeOptions():
            z = RowSource.of_z(options.input, options.reading, engine)
            _say(*z.notes)
            return Decode(engine, z)
        case BulkScoreOptions():
            _check_binarize(options, engine)
            x = RowSource.of_x(options.input, options.reading, engine)
            _say(*x.notes)
            return Score(
                engine,
                x,
                n_samples=options.n_samples,
                seed=options.seed,
                binarize=options.binarize,
                first=options.first,
            )
        case BulkSampleOptions():
            _check_complete(options, engine)
            return Sample(
                engine,
                options.n,
                seed=options.seed,
                temperature=options.temperature,
                draw=options.draw,
                complete=options.complete,
                first=options.first,
            )
    raise TypeError(f"no operation for {type(options).__name__}")


def _check_binarize(options: BulkScoreOptions, engine: Engine) -> None:
    kind = engine.config.likelihood.kind
    if options.binarize is not None and kind != "bernoulli":
        raise ValueError(
            f"--binarize {options.binarize} needs a Bernoulli model, this one's"
            f" likelihood is {kind}"
        )


def _check_complete(options: BulkSampleOptions, engine: Engine) -> None:
    if options.complete and engine.config.table is None:
        raise ValueError("--complete needs a model of a table of mixed kinds")


def _arrays(
    options: BulkOptions, operation: Operation, rows: range
) -> tuple[ArrayLayout, ...]:
    """Return the arrays of the output, after computing its first row."""
    first = next(operation.pieces(slice(rows.start, rows.start + 1))).arrays
    if options.out.suffix == ".npy":
        name = options.array or next(iter(first))
        if name not in first:
            names = ", ".join(first)
            raise ValueError(f"--array must be one of {names}, got {name}")
        first = {name: first[name]}
    dtype = None if options.dtype is None else np.dtype(options.dtype)
    return layouts(first, dtype, len(rows))


def _input(options: BulkOptions) -> Path | None:
    return options.input if isinstance(options, FileOptions) else None


def _identity_of_input(options: BulkOptions) -> InputIdentity | None:
    path = _input(options)
    return None if path is None else InputIdentity.of(path)


def _check_unchanged(options: BulkOptions, job: BulkJob) -> None:
    if _identity_of_input(options) != job.identity.input:
        raise DataError(f"{_input(options)} changed while it was read: start again")


def _say(*lines: str) -> None:
    sys.stderr.writelines(f"{line}\n" for line in lines)
