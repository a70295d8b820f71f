"""The commands `vae-encode`, `vae-decode`, `vae-sample` and `vae-score`."""

import signal
import sys
from collections.abc import Sequence

from model.bulk import arguments as command_line
from model.bulk import job
from model.bulk.options import BulkOptions
from model.input_errors import BAD_INPUT, INPUT_ERRORS, INTERRUPTED, reason


def main(arguments: Sequence[str], prog: str | None = None) -> int:
    """
    Read the command line, compute, and return the exit status.

    Args:
        arguments: The word that selects the command, then its arguments.
        prog: The command's name, for its help; `python -m model.bulk WORD` if None.
    """
    return run(command_line.read(arguments, prog))


def run(options: BulkOptions) -> int:
    """Compute what the options ask for, and return the exit status."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        job.run(options)
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
