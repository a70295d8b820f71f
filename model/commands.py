"""
The commands but for those of the service: `vae-train`, `vae-encode`, ...

This module imports nothing outside the standard library, so that a command whose
packages are not installed ends with a line that says which. `prog` is the name under
which a command was started, and that it shows.
"""

import sys
from collections.abc import Callable
from importlib import import_module

_MISSING = 2
# Packages that some commands need and serving does not.
_EXTRA = ("matplotlib", "sklearn", "tqdm", "tyro")


def train(prog: str = "vae-train") -> int:
    """Run `vae-train`, which is `python -m model.train`."""
    return _run("model.train.command", prog)


def evaluate(prog: str = "vae-evaluate") -> int:
    """Run `vae-evaluate`, which is `python -m model.evaluate`."""
    return _run("model.evaluate.command", prog)


def adopt(prog: str = "vae-adopt") -> int:
    """Run `vae-adopt`, which is `python -m model.adopt`."""
    return _run("model.adopt.command", prog)


def encode(prog: str = "vae-encode") -> int:
    """Run `vae-encode`, which is `python -m model.bulk encode`."""
    return _run("model.bulk.__main__", prog, "encode")


def decode(prog: str = "vae-decode") -> int:
    """Run `vae-decode`, which is `python -m model.bulk decode`."""
    return _run("model.bulk.__main__", prog, "decode")


def sample(prog: str = "vae-sample") -> int:
    """Run `vae-sample`, which is `python -m model.bulk sample`."""
    return _run("model.bulk.__main__", prog, "sample")


def score(prog: str = "vae-score") -> int:
    """Run `vae-score`, which is `python -m model.bulk score`."""
    return _run("model.bulk.__main__", prog, "score")


def _run(name: str, prog: str, *words: str) -> int:
    try:
        main: Callable[[list[str], str], int] = import_module(name).main
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(
            f"error: {error.name} is not installed; it comes with the extra `train`: "
            "pip install '.[train]' where the sources of vae-service are\n"
        )
        return _MISSING
    return main([*words, *sys.argv[1:]], prog)
