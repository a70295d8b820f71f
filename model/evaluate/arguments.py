"""Reads the command line of `vae-evaluate`. Torch is not imported for it."""

from collections.abc import Sequence

import tyro

from model.evaluate.options import EvaluateOptions


def read(arguments: Sequence[str], prog: str) -> EvaluateOptions:
    """Return the options; exits after --help, and with status 2 on a mistake."""
    return tyro.cli(EvaluateOptions, prog=prog, args=arguments)
