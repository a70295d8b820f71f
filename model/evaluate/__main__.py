"""`python -m model.evaluate`, which is `vae-evaluate`."""

import sys

from model.commands import evaluate

if __name__ == "__main__":
    sys.exit(evaluate("python -m model.evaluate"))
