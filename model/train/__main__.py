"""The command `python -m model.train`."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
import tyro
from tqdm import tqdm

from model import data
from model.checkpoint.manifest import ModelMetrics
from model.data import Dataset
from model.data.preparation import Prepared, prepare
from model.device import choose_device
from model.distributions import LIKELIHOODS
from model.train import resumption
from model.train.assembly import configure, inherited_units, start
from model.train.card import amount
from model.train.fit import DivergedError, Run, fit, is_complete
from model.train.options import TrainOptions
from model.train.places import Places
from model.train.publication import publish
from model.train.run_lock import RunLock
from model.train.state import State
from model.units import Units

_DIVERGED, _BAD_INPUT, _INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str]) -> int:
    """Read the command line, train, and return the exit status."""
    try:
        options, command = _parse(arguments)
        return train(options, command=command)
    except DivergedError as error:
        return _fail(str(error), _DIVERGED)
    except OSError as error:
        known = error.filename and error.strerror
        why = f"{error.filename}: {error.strerror}" if known else str(error)
        return _fail(why, _BAD_INPUT)
    except (MemoryError, torch.OutOfMemoryError) as error:
        return _fail(f"not enough memory: {error}", _BAD_INPUT)
    except ValueError as error:
        return _fail(str(error), _BAD_INPUT)
    except KeyboardInterrupt:
        return _fail("interrupted; the state saved last stays", _INTERRUPTED)
    except torch._dynamo.exc.TorchDynamoException as error:
        return _fail(f"--compile failed: {str(error).splitlines()[0]}", _BAD_INPUT)


def train(options: TrainOptions, *, command: Sequence[str]) -> int:
    """
    Train, write the checkpoint, and return the exit status.

    Raises:
        ValueError: Options or data are invalid, or another process is training in the
            same directory; nothing was trained.
        DivergedError: The loss became NaN or infinite; the checkpoint has the best
            weights before that.
    """
    options.check()
    places = Places.of(options)
    with RunLock(places.run) as lock:
        if places.run.is_dir():
            lock.take()  # before reading the data, which may take long
        _check_places(places, options)
        torch.set_num_threads(options.threads or torch.get_num_threads())
        device = choose_device(options.device)
        dataset = _load(options)
        prepared = _prepare(dataset, options, inherited_units(options, places))
        config = configure(options, dataset, prepared)
        state = start(config, options, prepared, device)
        identity = resumption.identity(options, dataset, command)
        lock.take()
        _check_places(places, options)  # another run may have ended in the meantime
        if options.resume is None:
            places.clear()
        else:
            resumption.resume(state, places, identity)
        return _run(state, dataset, prepared, options, places, identity)


def _run(
    state: State,
    dataset: Dataset,
    prepared: Prepared,
    options: TrainOptions,
    places: Places,
    identity: dict[str, Any],
) -> int:
    diverged = _fit(state, prepared, options, places, identity)
    complete = is_complete(state, options)
    if state.best:
        metrics = publish(
            places,
            vae=state.model(state.best),
            dataset=dataset,
            prepared=prepared,
            options=options,
            complete=complete,
            command=identity["command"],
            parent_sha256=identity["parent_sha256"],
        )
        _report(places, metrics)
    if diverged is not None:
        if not state.best:
            places.abandon()
        raise diverged
    if not complete:
        _say(
            "stopped; continue with: "
            f"python -m model.train --resume {places.checkpoint}"
        )
    return 0 if complete else _INTERRUPTED


def _parse(arguments: Sequence[str]) -> tuple[TrainOptions, Sequence[str]]:
    prog = "python -m model.train"
    options = tyro.cli(TrainOptions, prog=prog, args=arguments)
    if options.resume is None:
        return options, (*prog.split(), *arguments)
    first, command = resumption.run_options(options.resume)
    # Parsed again, with the run's first options as defaults.
    given = tyro.cli(TrainOptions, prog=prog, args=arguments, default=first)
    resumption.check_same(first, given)
    return first, command


def _check_places(places: Places, options: TrainOptions) -> None:
    """Check that the run does not overwrite existing files."""
    if options.overwrite:
        places.check_replaceable()
    elif options.resume is None:
        places.check_free()


def _load(options: TrainOptions) -> Dataset:
    dataset = data.load(
        options.data,
        data_dir=options.data_dir,
        validation_fraction=options.validation_fraction,
        test_fraction=options.test_fraction,
        seed=options.seed,
        reading=options.reading,
    )
    for note in dataset.notes:
        _say(note)
    sizes = "/".join(str(len(split.x)) for split in dataset.splits)
    _say(f"{dataset.name}: {sizes} rows to train, validate and test. {dataset.source}.")
    return dataset


def _prepare(dataset: Dataset, options: TrainOptions, units: Units | None) -> Prepared:
    standardize = options.standardize
    return prepare(
        dataset,
        likelihood=LIKELIHOODS[options.likelihood],
        how=options.binarization,
        standardize=(
            options.likelihood == "gaussian" if standardize is None else standardize
        ),
        units=units,
        seed=options.test_seed,
    )


def _fit(
    state: State,
    prepared: Prepared,
    options: TrainOptions,
    places: Places,
    identity: dict[str, Any],
) -> DivergedError | None:
    """Train with a progress bar; Ctrl-C ends the run after the current step."""
    n_steps = len(state.terms)
    with (
        _stop_on_signals() as stopped,
        tqdm(
            total=options.epochs * n_steps,
            initial=state.progress.n_updates,
            disable=None,  # no bar if standard error is not a terminal
            unit="step",
            mininterval=0.2,
        ) as bar,
    ):

        def on_epoch(line: dict[str, Any]) -> None:
            places.record(line)
            bar.set_postfix_str(_summary(line), refresh=False)
            if bar.disable:
                _say(f"epoch {line['epoch']}/{options.epochs}  {_summary(line)}")

        run = Run(
            places=places,
            identity=identity,
            stopped=stopped,
            on_step=bar.update,
            on_epoch=on_epoch,
        )
        try:
            fit(state, prepared, options, run)
        except DivergedError as error:
            return error
    return None


@contextmanager
def _stop_on_signals() -> Iterator[Callable[[], bool]]:
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


def _summary(line: dict[str, Any]) -> str:
    return (
        f"ELBO train {line['train']['elbo']:.2f} "
        f"validation {line['validation']['elbo']:.2f} nats  "
        f"KL {line['validation']['kl']:.2f}  active {line['active_units']}  "
        f"{line['examples_per_second']:,}/s"
    )


def _report(places: Places, metrics: ModelMetrics) -> None:
    for figure in metrics.figures:
        error = figure.standard_error
        _say(
            f"{figure.split:>10} {figure.name:<14} {amount(figure):>15}"
            + (f" ± {error:.3f}" if error is not None else "")
        )
    _say(f"checkpoint: {places.checkpoint}")


def _fail(why: str, status: int) -> int:
    _say("error: " + " ".join(why.split("\n")))
    return status


def _say(words: str) -> None:
    sys.stderr.write(words + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
