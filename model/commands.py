"""
The commands but for those of the service: `vae-train`, `vae-encode`, ...

This module imports nothing outside the standard library, so that a command whose
packages are not installed ends with a line that says which. A command line is read
before torch is imported, which takes a second: --help and mistakes do not need it.
`prog` is the name under which a command was started, and that it shows.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

_MISSING = 2
# Packages that some commands need and serving does not.
_EXTRA = ("matplotlib", "sklearn", "tqdm", "tyro")


def train(prog: str = "vae-train") -> int:
    """Run `vae-train`, which is `python -m model.train`."""
    arguments = sys.argv[1:]
    return _run("model.train", arguments, prog, arguments, prog)


def evaluate(prog: str = "vae-evaluate") -> int:
    """Run `vae-evaluate`, which is `python -m model.evaluate`."""
    return _run("model.evaluate", sys.argv[1:], prog)


def adopt(prog: str = "vae-adopt") -> int:
    """Run `vae-adopt`, which is `python -m model.adopt`."""
    arguments = sys.argv[1:]
    return _run("model.adopt", arguments, prog, (*prog.split(), *arguments))


def encode(prog: str = "vae-encode") -> int:
    """Run `vae-encode`, which is `python -m model.bulk encode`."""
    return _run("model.bulk", ["encode", *sys.argv[1:]], prog)


def decode(prog: str = "vae-decode") -> int:
    """Run `vae-decode`, which is `python -m model.bulk decode`."""
    return _run("model.bulk", ["decode", *sys.argv[1:]], prog)


def sample(prog: str = "vae-sample") -> int:
    """Run `vae-sample`, which is `python -m model.bulk sample`."""
    return _run("model.bulk", ["sample", *sys.argv[1:]], prog)


def score(prog: str = "vae-score") -> int:
    """Run `vae-score`, which is `python -m model.bulk score`."""
    return _run("model.bulk", ["score", *sys.argv[1:]], prog)


def bulk() -> int:
    """Run `python -m model.bulk`, whose first argument is one of the four above."""
    return _run("model.bulk", sys.argv[1:], None)


def _run(
    package: str, arguments: Sequence[str], prog: str | None, *others: object
) -> int:
    """Read the command line of a package's command, and run it."""
    options = _import(f"{package}.arguments").read(arguments, prog)
    status: int = _import(f"{package}.command").run(options, *others)
    return status


def _import(name: str) -> Any:
    """Return a module, or exit with what to install."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(
            f"error: {error.name} is not installed; it comes with the extra `train`: "
            "pip install '.[train]' where the sources of vae-service are\n"
        )
        sys.exit(_MISSING)
