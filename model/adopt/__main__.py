"""`python -m model.adopt`, which is `vae-adopt`."""

import sys

from model.commands import adopt

if __name__ == "__main__":
    sys.exit(adopt("python -m model.adopt"))
