"""Reads the command line of `vae-train`. Torch is not imported for it."""

from collections.abc import Sequence

import tyro

from model.train.options import TrainOptions


def read(arguments: Sequence[str], prog: str) -> TrainOptions:
    """Return the options; exits after --help, and with status 2 on a mistake."""
    return tyro.cli(TrainOptions, prog=prog, args=arguments)
