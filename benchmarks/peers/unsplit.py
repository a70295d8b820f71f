"""Our service without splitting: a request is one batch, however long it is."""

import sys

from app.__main__ import main
from app.compute import batcher


def _whole(queue: batcher.Queue) -> int:
    return 1 << 30


if __name__ == "__main__":
    batcher.Queue._room = _whole  # type: ignore[method-assign, assignment]  # this is what is measured
    sys.exit(main())
