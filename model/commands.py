"""The console scripts but for those of the service: `vae-train`, `vae-encode`, ..."""

import sys
from collections.abc import Callable
from importlib import import_module

_MISSING = 2
# Packages that the commands need and serving does not.
_EXTRA = ("matplotlib", "sklearn", "tqdm", "tyro")


def train() -> int:
    """Run `vae-train`, which is `python -m model.train`."""
    return _run("model.train.__main__")


def evaluate() -> int:
    """Run `vae-evaluate`, which is `python -m model.evaluate`."""
    return _run("model.evaluate.__main__")


def adopt() -> int:
    """Run `vae-adopt`, which is `python -m model.adopt`."""
    return _run("model.adopt.__main__")


def encode() -> int:
    """Run `vae-encode`, which is `python -m model.bulk encode`."""
    return _run("model.bulk.__main__", "encode")


def decode() -> int:
    """Run `vae-decode`, which is `python -m model.bulk decode`."""
    return _run("model.bulk.__main__", "decode")


def sample() -> int:
    """Run `vae-sample`, which is `python -m model.bulk sample`."""
    return _run("model.bulk.__main__", "sample")


def score() -> int:
    """Run `vae-score`, which is `python -m model.bulk score`."""
    return _run("model.bulk.__main__", "score")


def _run(name: str, *words: str) -> int:
    try:
        main: Callable[[list[str]], int] = import_module(name).main
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.stderr.write(
            f"error: {error.name} is not installed; it comes with the extra `train`: "
            "pip install '.[train]' where the sources of vae-service are\n"
        )
        return _MISSING
    return main([*words, *sys.argv[1:]])
