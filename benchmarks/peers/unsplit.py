"""Our service without splitting: a request is one batch, however long it is."""

import sys

from app import batching
from app.__main__ import main


def _whole(queue: batching.Queue) -> int:
    return 1 << 30


if __name__ == "__main__":
    batching.Queue._room = _whole  # type: ignore[method-assign, assignment]  # this is what is measured
    sys.exit(main())
