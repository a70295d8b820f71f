"""`python -m model.train`, which is `vae-train`."""

import sys

from model.commands import train

if __name__ == "__main__":
    sys.exit(train("python -m model.train"))
