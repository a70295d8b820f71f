"""The command `vae-train`, also `python -m model.train`."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import tyro
from tqdm import tqdm

from model import atomic_files, data
from model.checkpoint.manifest import ModelMetrics
from model.data import Dataset
from model.data.mixed import schema_file
from model.device import choose_device
from model.input_errors import BAD_INPUT, INPUT_ERRORS, INTERRUPTED, reason
from model.train import arguments as command_line
from model.train import resumption
from model.train.card import amount
from model.train.fit import DivergedError, Run, fit, is_complete
from model.train.missing_fit import with_missing_cells
from model.train.options import RunOptions, TrainOptions
from model.train.places import Places
from model.train.plan import Kept, Plan, choose_kept, make_plan
from model.train.progress import phase, say, stop_on_signals
from model.train.publication import RunEnd, publish
from model.train.run_lock import RunLock
from model.train.state import State
from model.train.verdict import Verdict

_DIVERGED, _UNUSABLE = 1, 3
_READERS = {"auto": data.read_numbers_or_table, "table": data.read_table}


def main(arguments: Sequence[str], prog: str = "python -m model.train") -> int:
    """
    Read the command line, train, and return the exit status.

    Args:
        prog: The command's name, for its help, its record and its advice.
    """
    return run(command_line.read(arguments, prog), arguments, prog)


def run(options: TrainOptions, arguments: Sequence[str], prog: str) -> int:
    """
    Train, and return the exit status.

    Args:
        options: What the arguments give.
        prog: The command's name, for its record and its advice.
    """
    command: Sequence[str] = (*prog.split(), *arguments)
    try:
        if options.resume is not None:
            options, command = _resume(options.resume, arguments, prog)
        status = train(options, command=command)
    except DivergedError as error:
        return _fail(str(error), _DIVERGED)
    except INPUT_ERRORS as error:
        return _fail(reason(error), BAD_INPUT)
    except KeyboardInterrupt:
        return _fail("interrupted; the state saved last stays", INTERRUPTED)
    except Exception as error:
        if not _is_of_compiler(error):
            raise
        return _fail(f"--compile failed: {str(error).splitlines()[0]}", BAD_INPUT)
    if status == INTERRUPTED:
        where = Places.of(options).checkpoint
        say(f"stopped; continue with: {prog} --resume {where}")
    return status


def _is_of_compiler(error: Exception) -> bool:
    """Return whether an error is of torch.compile, without importing it: a second."""
    compiler = sys.modules.get("torch._dynamo.exc")
    return compiler is not None and isinstance(error, compiler.TorchDynamoException)


def train(options: TrainOptions, *, command: Sequence[str]) -> int:
    """
    Train, write the checkpoint, and return the exit status.

    The status is 0 for a usable model, 3 for one that is not, and 130 for a run that
    was stopped.

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
        plan = make_plan(options, _load(options), places, command)
        state = plan.start(device)
        lock.take()
        _check_places(places, options)  # another run may have ended in the meantime
        if options.resume is None:
            places.clear()
        else:
            resumption.resume(state, places, plan.identity)
        _write_columns(plan)
        for line in plan.choices:
            say(line)
        if options.resume is None and plan.law is not None:
            say(f"Training starts as {plan.law.name}.")
        return _run(state, plan)


def _run(state: State, plan: Plan) -> int:
    diverged = _fit(state, plan)
    end = RunEnd(
        n_steps=state.progress.n_updates,
        is_complete=is_complete(state, plan.options),
        failure=None if diverged is None else str(diverged),
    )
    places = plan.places
    if not state.best:
        if diverged is not None:
            places.abandon()
            raise diverged
        return INTERRUPTED
    kept = _with_missing_cells(plan, choose_kept(plan, state))
    metrics, verdict = publish(plan, kept, end)
    _report(places, metrics, verdict)
    if diverged is not None:
        raise diverged
    if not end.is_complete:
        return INTERRUPTED
    return 0 if verdict.is_usable else _UNUSABLE


def _with_missing_cells(plan: Plan, kept: Kept) -> Kept:
    """Return the model with a head for the missing cells of a table."""
    if plan.config.table is None:
        return kept
    with phase("missing cells"):
        vae = with_missing_cells(
            kept.vae, plan.dataset, plan.prepared, seed=plan.options.seed
        )
    return replace(kept, vae=vae)


def _resume(
    path: Path, arguments: Sequence[str], prog: str
) -> tuple[RunOptions, Sequence[str]]:
    """Return the options and the first command of a run that is to continue."""
    first, command = resumption.run_options(path)
    # Parsed again, with the run's first options as defaults.
    given = tyro.cli(RunOptions, prog=prog, args=arguments, default=first)
    resumption.check_same(first, given)
    return given, command


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
        read_file=_READERS.get(options.likelihood, data.read_numbers),
    )
    for note in dataset.notes:
        say(note)
    sizes = "/".join(str(len(split.x)) for split in dataset.splits)
    say(f"{dataset.name}: {sizes} rows to train, validate and test. {dataset.source}.")
    return dataset


def _write_columns(plan: Plan) -> None:
    """Write what was inferred of the columns of a table, which --columns accepts."""
    table = plan.dataset.table
    if table is None or schema_file(plan.options.reading) is not None:
        return
    content = table.model_dump_json(indent=2, exclude={"n_knots"})
    atomic_files.replace(plan.places.columns, f"{content}\n".encode())
    say(f"columns: {plan.places.columns}; edit it and give it with --columns")


def _fit(state: State, plan: Plan) -> DivergedError | None:
    """Train with a progress bar; Ctrl-C ends the run after the current step."""
    n_steps = len(state.terms)
    options, places = plan.options, plan.places
    with (
        stop_on_signals() as stopped,
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
                say(f"epoch {line['epoch']}/{options.epochs}  {_summary(line)}")

        run = Run(
            places=places,
            identity=plan.identity,
            stopped=stopped,
            on_step=bar.update,
            on_epoch=on_epoch,
        )
        try:
            fit(state, plan.prepared, options, run)
        except DivergedError as error:
            return error
    return None


def _summary(line: dict[str, Any]) -> str:
    return (
        f"ELBO train {line['train']['elbo']:.2f} "
        f"validation {line['validation']['elbo']:.2f} nats  "
        f"KL {line['validation']['kl']:.2f}  active {line['active_units']}  "
        f"{line['examples_per_second']:,} rows/s"
    )


def _report(places: Places, metrics: ModelMetrics, verdict: Verdict) -> None:
    for figure in metrics.figures:
        error = figure.standard_error
        say(
            f"{figure.split:>10} {figure.name:<14} {amount(figure):>15}"
            + (f" ± {error:.3f}" if error is not None else "")
        )
    for line in verdict.lines:
        say(line)
    say(f"checkpoint: {places.checkpoint}")


def _fail(why: str, status: int) -> int:
    say("error: " + " ".join(why.split("\n")))
    return status
