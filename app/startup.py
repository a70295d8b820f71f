"""How a start that fails ends: one line, status 3."""

import sys
from typing import NoReturn

STARTUP_FAILURE = 3


def fail(error: Exception) -> NoReturn:
    """End the process with one line on stderr and status 3."""
    sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
    raise SystemExit(STARTUP_FAILURE)
