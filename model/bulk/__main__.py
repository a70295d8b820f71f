"""The commands `python -m model.bulk encode|decode|sample|score`."""

import signal
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from model.bulk import command_line
from model.bulk.job import run
from model.bulk.options import (
    BulkOptions,
    DecodeOptions,
    EncodeOptions,
    SampleOptions,
    ScoreOptions,
)
from model.input_errors import BAD_INPUT, INPUT_ERRORS, INTERRUPTED, reason

COMMANDS: Mapping[str, type[BulkOptions]] = MappingProxyType(
    {
        "encode": EncodeOptions,
        "decode": DecodeOptions,
        "sample": SampleOptions,
        "score": ScoreOptions,
    }
)
_USAGE = f"usage: python -m model.bulk {{{','.join(COMMANDS)}}} --help\n"


def main(arguments: Sequence[str], prog: str | None = None) -> int:
    """
    Read the command line, compute, and return the exit status.

    Args:
        arguments: The word that selects the command, then its arguments.
        prog: The command's name, for its help; `python -m model.bulk WORD` if None.
    """
    if not arguments or arguments[0] not in COMMANDS:
        is_help = bool(arguments) and arguments[0] in ("-h", "--help")
        (sys.stdout if is_help else sys.stderr).write(_USAGE)
        return 0 if is_help else BAD_INPUT
    name, *rest = arguments
    prog = prog or f"python -m model.bulk {name}"
    options = command_line.read(COMMANDS[name], rest, prog=prog)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(options)
    except INPUT_ERRORS as error:
        return _fail(reason(error))
    except KeyboardInterrupt:
        return _fail("interrupted; the same command continues", INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _fail(why: str, status: int = BAD_INPUT) -> int:
    sys.stderr.write(f"error: {why}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
