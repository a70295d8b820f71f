"""Our service without splitting: a request is one batch, however long it is."""

import sys

from app.__main__ import main
from app.compute import batcher


def _ignore(_queue: batcher.Queue, _room: int) -> None:
    pass


if __name__ == "__main__":
    room = property(lambda _queue: 1 << 30, _ignore)
    batcher.Queue._room = room  # type: ignore[assignment]  # this is what is measured
    sys.exit(main())
