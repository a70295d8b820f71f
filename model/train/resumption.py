"""Go on with an interrupted run: whose it was, and from where."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from model.checkpoint import MANIFEST
from model.data import Dataset
from model.train.options import Options
from model.train.places import Places
from model.train.state import State, StateError, saved_run

_FREE = {"resume", "out", "overwrite"}  # these do not make a run another one


def identity(
    options: Options, dataset: Dataset, command: Sequence[str]
) -> dict[str, Any]:
    """Say in JSON which run this is."""
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


def _parent_sha256(options: Options) -> str | None:
    """Return the hash of the checkpoint that the run started from, when it did."""
    if options.resume is not None:
        before = saved_run(Places.of(options).state).get("parent_sha256")
        return None if before is None else str(before)
    if options.init_from is None:
        return None
    return hashlib.sha256((options.init_from / MANIFEST).read_bytes()).hexdigest()


def begun(checkpoint: Path) -> tuple[Options, Sequence[str]]:
    """
    Return the options and the command that the run at `checkpoint` began with.

    Raises:
        StateError: There is no such run, or this version has other options.
    """
    run = saved_run(Places.of(Options(out=checkpoint)).state)
    try:
        first = Options(**{k: _typed(k, v) for k, v in run["options"].items()})
    except TypeError as error:
        raise StateError(
            f"the run at {checkpoint} was begun by another version: {error}"
        ) from error
    return replace(first, out=checkpoint, resume=checkpoint), run["command"]


def check_same(first: Options, given: Options) -> None:
    """
    Refuse options that contradict those the run began with.

    Args:
        given: What the command line says where it is silent about nothing but what
            `first` says.

    Raises:
        StateError: It names the option.
    """
    for name in (field.name for field in fields(Options)):
        before, now = getattr(first, name), getattr(given, name)
        if now != before:
            raise StateError(
                f"the run at {first.resume} began with {name} = {before}, got {now}; "
                "leave the option out to go on with it"
            )


def resume(state: State, places: Places, wanted: dict[str, Any]) -> None:
    """
    Load the saved state of a run.

    Raises:
        StateError: The data are not those the run began with.
    """
    before = saved_run(places.state)["dataset_sha256"]
    if before != wanted["dataset_sha256"]:
        raise StateError(
            f"the run at {places.checkpoint} began with data of sha256 {before}, "
            f"got {wanted['dataset_sha256']}"
        )
    state.load(places.state)
    places.forget_after(state.progress.epoch)


def _typed(name: str, value: Any) -> Any:
    if name in ("data_dir", "init_from") and value is not None:
        return Path(value)
    return tuple(value) if isinstance(value, list) else value
