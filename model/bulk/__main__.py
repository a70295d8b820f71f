"""`python -m model.bulk encode|decode|sample|score`, also `vae-encode` and so on."""

import sys

from model.commands import bulk

if __name__ == "__main__":
    sys.exit(bulk())
