"""Reads the command line of the bulk commands. Torch is not imported for it."""

import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from model.bulk import command_line
from model.bulk.options import (
    BulkDecodeOptions,
    BulkEncodeOptions,
    BulkOptions,
    BulkSampleOptions,
    BulkScoreOptions,
)

COMMANDS: Mapping[str, type[BulkOptions]] = MappingProxyType(
    {
        "encode": BulkEncodeOptions,
        "decode": BulkDecodeOptions,
        "sample": BulkSampleOptions,
        "score": BulkScoreOptions,
    }
)
_USAGE = f"usage: python -m model.bulk {{{','.join(COMMANDS)}}} --help\n"
_MISTAKE = 2


def read(arguments: Sequence[str], prog: str | None = None) -> BulkOptions:
    """
    Return the options; exits after --help, and with status 2 on a mistake.

    Args:
        arguments: The word that selects the command, then its arguments.
        prog: The command's name, for its help; `python -m model.bulk WORD` if None.
    """
    if not arguments or arguments[0] not in COMMANDS:
        is_help = bool(arguments) and arguments[0] in ("-h", "--help")
        (sys.stdout if is_help else sys.stderr).write(_USAGE)
        sys.exit(0 if is_help else _MISTAKE)
    name, *rest = arguments
    prog = prog or f"python -m model.bulk {name}"
    return command_line.read(COMMANDS[name], rest, prog=prog)
