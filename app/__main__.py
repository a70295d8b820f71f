"""The command `vae-serve`, which is `python -m app`: serve a model."""

import os
import sys
from collections.abc import Sequence

from app import command_line
from app.environment import SettingsError
from app.server.run import run
from app.server.startup import fail
from app.settings import Settings

_NEXT_STEP = "train one (vae-train --help), then: vae-serve DIRECTORY"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes; return the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        # Workers are processes of their own, which read their environment.
        os.environ.update(command_line.read(given, os.environ))
        settings = Settings.from_environment(os.environ)
        if not settings.checkpoint.exists():
            where = f"no checkpoint at {settings.checkpoint}: no such directory"
            raise SettingsError(f"{where}; {_NEXT_STEP}")
    except SettingsError as error:
        fail(error)
    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
