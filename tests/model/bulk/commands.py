"""The bulk commands on engines that are loaded once: each load proves itself anew."""

from functools import cache
from pathlib import Path

from safetensors.numpy import load_file

from model.bulk import command_line
from model.bulk.arguments import COMMANDS
from model.bulk.job import run_on
from model.engine import Engine
from model.engine.backends import Backend
from tests.model.bulk.service import Arrays


def written(out: Path, *words: object) -> Arrays:
    """Compute what a command would, and return what it has written."""
    name, *rest = map(str, (*words, "--out", out))
    options = command_line.read(COMMANDS[name], rest, prog=name)
    run_on(engine(Path(options.checkpoint), options.backend), options)
    assert not list(out.parent.glob("*.partial*"))
    return load_file(out)


@cache
def engine(path: Path, backend: Backend) -> Engine:
    """Load a checkpoint, which no test replaces, as the commands do."""
    return Engine.load(path, device="cpu", backend=backend, n_threads=1)
