"""
Measure how long reading a body blocks the event loop: `python -m benchmarks.steps`.

A reader in this process reads bodies of the largest size, of the kinds that block a
loop longest. The tests assert the number of bytes per step; here the processor time of
a step is measured, which does not depend on other processes.
"""

import asyncio
import json
import sys
from contextlib import suppress
from statistics import median
from time import thread_time

import numpy as np

from app.errors import ProblemError
from app.wire.json.rows import JsonRows
from app.wire.layout import Layout

BAR_MS = 2.0
RUNS = 5
MIB = 1 << 20
ROWS = Layout("x", (28, 28), 1 << 20)
WIDE = Layout("x", (1024, 1024, 3), 4)


def bodies() -> dict[str, tuple[Layout, bytes]]:
    """Return bodies of up to 64 MiB."""
    row = np.random.default_rng(0).random(ROWS.dim).tolist()
    wide = np.random.default_rng(0).random(WIDE.dim).round(9).tolist()
    return {
        "3,000 rows": (ROWS, json.dumps({"x": [row] * 3000}).encode()),
        "one row of 3 million": (WIDE, json.dumps({"x": [wide]}).encode()),
        "one row of 3 million 0": (WIDE, json.dumps({"x": [[0] * WIDE.dim]}).encode()),
        "60 MB of spaces": (ROWS, b'{"x":[[1' + b" " * 60 * MIB + b"]]}"),
        "a number of 60 MB": (ROWS, b'{"x":[[' + b"1" * 60 * MIB + b"]]}"),
        "a string of 50 MB": (ROWS, b'{"x":[["' + b"a" * 50 * MIB + b'"]]}'),
        "a name of 50 MB": (ROWS, b'{"' + b"a" * 50 * MIB + b'":[[1]]}'),
        "20 million empty rows": (ROWS, b'{"x":[' + b"[]," * 20 * MIB + b"[]]}"),
    }


def longest_step_ms(layout: Layout, body: bytes) -> float:
    """Return the most processor time between two turns of another task of the loop."""

    async def read() -> float:
        longest, last = 0.0, thread_time()

        async def turn() -> None:
            nonlocal longest, last
            while True:
                await asyncio.sleep(0)
                now = thread_time()
                longest, last = max(longest, now - last), now

        other = asyncio.create_task(turn())
        await asyncio.sleep(0)
        with suppress(ProblemError):
            await JsonRows(layout).read(body)
        await asyncio.sleep(0)
        other.cancel()
        return longest * 1e3

    return asyncio.run(read())


def main() -> int:
    """Print the median of some runs of each; return 1 if one is over the bar."""
    print(f"| body | longest step, ms (bar {BAR_MS:g}) |\n|---|---|")
    over = False
    for name, (layout, body) in bodies().items():
        ms = median(longest_step_ms(layout, body) for _ in range(RUNS))
        over |= ms > BAR_MS
        print(f"| {name} | {ms:.2f} |", flush=True)
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
