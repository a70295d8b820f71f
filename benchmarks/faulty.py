"""
Our service with an engine that fails for marked rows, as the environment says.

A row whose first value is `POISON` raises; one whose first value is `STALL` blocks the
compute thread for STALL_SECONDS. All batches are computed in that thread. The watchdog
waits for WATCHDOG_SECONDS, `/livez` for twice as long. One process only:
workers are spawned, and would import the engine anew.
"""

import os
import sys
import time
from collections.abc import Callable

from app.__main__ import main
from app.calls import livez
from app.compute import batcher
from model.engine import Array, Encoding, Engine

POISON, STALL = 0.7734375, 0.8828125  # in the range of x, and exact in float32


def _failing(
    encode: Callable[[Engine, Array], Encoding], stall_seconds: float
) -> Callable[[Engine, Array], Encoding]:
    def failing(engine: Engine, x: Array) -> Encoding:
        if (x[:, 0] == STALL).any():
            time.sleep(stall_seconds)
        if (x[:, 0] == POISON).any():
            raise ArithmeticError("a row is poisoned")
        return encode(engine, x)

    return failing


if __name__ == "__main__":
    seconds = float(os.environ["STALL_SECONDS"])
    Engine.encode = _failing(Engine.encode, seconds)  # type: ignore[method-assign, assignment]  # this is what is tried
    batcher.INLINE_SECONDS = 0.0
    patience = float(os.environ["WATCHDOG_SECONDS"])
    batcher.STALLED_SECONDS, livez.DEAD_SECONDS = patience, 2 * patience
    sys.exit(main())
