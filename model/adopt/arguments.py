"""Reads the command line of `vae-adopt`. Torch is not imported for it."""

from collections.abc import Sequence

import tyro

from model.adopt.options import AdoptOptions


def read(arguments: Sequence[str], prog: str) -> AdoptOptions:
    """Return the options; exits after --help, and with status 2 on a mistake."""
    return tyro.cli(AdoptOptions, prog=prog, args=arguments)
