"""Resume an interrupted run: identify it, compare its options, load its state."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, final

from pydantic import TypeAdapter, ValidationError

from model import checkpoint
from model.data import Dataset
from model.section import Section
from model.train import saved_state
from model.train.initial import initial_checkpoint
from model.train.options import RunOptions, TrainOptions
from model.train.places import Places
from model.train.saved_state import StateError
from model.train.state import State

_FREE = {"resume", "out", "overwrite"}  # not part of a run's identity


@final
class _SavedRun(Section):
    """The identity of the run that a state belongs to, written by `identity`."""

    options: dict[str, Any]
    dataset_sha256: str | None
    command: tuple[str, ...]
    parent_sha256: str | None = None


def identity(
    options: RunOptions, dataset: Dataset, command: Sequence[str]
) -> dict[str, Any]:
    """Return what identifies a run, as JSON."""
    chosen = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(options).items()
        if name not in _FREE
    }
    return {
        "options": chosen,
        "dataset_sha256": dataset.sha256,
        "command": list(command),
        "parent_sha256": _parent_sha256(options),
    }


def _parent_sha256(options: TrainOptions) -> str | None:
    """Return the sha256 of the checkpoint in --init-from, if any."""
    if options.resume is not None:
        return _saved_run(Places.of(options)).parent_sha256
    if options.init_from is None:
        return None
    return checkpoint.identity(initial_checkpoint(options.init_from))


def run_options(path: Path) -> tuple[RunOptions, Sequence[str]]:
    """
    Return the options and the command that the run was started with.

    Args:
        path: The checkpoint of the run, its --out.

    Raises:
        StateError: There is no such run, it is damaged, or it has options that this
            version does not have.
    """
    places = Places.of(TrainOptions(out=path))
    run = _saved_run(places)
    unknown = run.options.keys() - {field.name for field in fields(RunOptions)}
    if unknown:
        raise StateError(
            f"the run at {path} was started by another version: this one does not have "
            f"the options {sorted(unknown)}"
        )
    try:
        first = TypeAdapter(RunOptions).validate_json(
            json.dumps({**run.options, "patience": run.options.get("patience") or 0}),
            strict=True,
        )
    except ValidationError as error:
        raise _damage_error(places, "run.options", error) from error
    return replace(first, out=path, resume=path), run.command


def check_same(first: RunOptions, given: RunOptions) -> None:
    """
    Check that no option differs from those that the run was started with.

    Only `epochs` may be larger, to go on with a finished run.

    Args:
        given: The options of the command line, with those of `first` as defaults.

    Raises:
        StateError: An option differs; the message names it.
    """
    for before, now in ((first, given), (first.reading, given.reading)):
        for name in (field.name for field in fields(before) if field.name != "reading"):
            if name == "epochs" and given.epochs > first.epochs:
                continue
            if getattr(now, name) != getattr(before, name):
                raise StateError(
                    f"the run at {first.resume} began with {name} = "
                    f"{getattr(before, name)}, got {getattr(now, name)}; leave the "
                    "option out to continue the run"
                )


def resume(state: State, places: Places, wanted: dict[str, Any]) -> None:
    """
    Load the saved state of a run.

    Args:
        wanted: The identity of the run.

    Raises:
        StateError: It is damaged, or the data differ from those of the first start.
    """
    before = _saved_run(places)
    if before.dataset_sha256 != wanted["dataset_sha256"]:
        raise StateError(
            f"the run at {places.checkpoint} began with data of sha256 "
            f"{before.dataset_sha256}, got {wanted['dataset_sha256']};"
            " give the same data, or begin anew with --overwrite instead of --resume"
        )
    state.load(places.state)
    n_epochs = wanted["options"]["epochs"]
    if n_epochs > before.options["epochs"]:
        state.progress.extended_at = state.progress.epoch
    if state.progress.epoch > n_epochs:
        raise StateError(
            f"{places.state} is damaged: epoch: expected at most {n_epochs}, "
            f"got {state.progress.epoch}"
        )
    places.forget_after(state.progress.epoch)


def _saved_run(places: Places) -> _SavedRun:
    document = json.dumps(saved_state.read(places.state).run)
    try:
        return _SavedRun.model_validate_json(document)
    except ValidationError as error:
        raise _damage_error(places, "run", error) from error


def _damage_error(places: Places, name: str, error: ValidationError) -> StateError:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join([name, *map(str, first["loc"])])
    return StateError(f"{places.state} is damaged: {where}: {first['msg']}")
