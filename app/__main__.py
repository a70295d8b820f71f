"""`python -m app`: serve the model on the host and port of the settings."""

import os
import sys

from app.environment import SettingsError
from app.server.run import run
from app.server.startup import fail
from app.settings import Settings


def main() -> int:
    """Serve until a signal comes; return the exit status."""
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        fail(error)
    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
