"""The command `vae-serve`, also `python -m app`: serve a model."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from app import command_line
from app.configuration.environment import SettingsError
from app.server.run import run
from app.server.startup import fail, open_standard_streams
from app.settings import Settings

_NEXT_STEP = "train one (vae-train --help), then: {prog} DIRECTORY"


def main(arguments: Sequence[str] | None = None, *, prog: str = "vae-serve") -> int:
    """
    Serve until a stop signal; return the exit status.

    Args:
        arguments: The command line; that of the process if not given.
        prog: The command's name, for its help and its advice.
    """
    open_standard_streams()
    given = sys.argv[1:] if arguments is None else arguments
    try:
        # Worker processes inherit the environment.
        os.environ.update(command_line.read(given, os.environ, prog=prog))
        settings = Settings.from_environment(os.environ)
        checkpoint = settings.checkpoint
        if isinstance(checkpoint, Path) and not _exists(checkpoint):
            where = f"no checkpoint at {checkpoint}: no such directory"
            raise SettingsError(f"{where}; {_NEXT_STEP.format(prog=prog)}")
    except SettingsError as error:
        fail(error)
    return run(settings)


def _exists(checkpoint: Path) -> bool:
    """Return whether a checkpoint exists, without importing the code that reads it."""
    real = checkpoint.resolve()
    # Left by a writer that was killed, see `model.checkpoint.directories`.
    set_aside = real.with_name(f".{real.name}.previous") if real.name else real
    return checkpoint.exists() or set_aside.exists()


if __name__ == "__main__":
    sys.exit(main(prog="python -m app"))
