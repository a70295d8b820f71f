"""The way of a request through the code is short, and can be printed."""

import asyncio
from pathlib import Path

from app.wire.doubles import HAS_SIMDJSON
from benchmarks.request_path import RequestPath, Step, encode_request, traced

# From the socket on.
MOST_FILES = 23
MOST_FUNCTIONS = 100  # from Python 3.12 on fewer: comprehensions are no functions there
# It parses in place of simdjson where that is absent, whose functions do not count.
PARSER = "app/wire/doubles.py"


def test_a_request_with_one_row_takes_a_short_way(checkpoints: Path) -> None:
    """It enters few files, each for several functions, and computes the row once."""
    path = checkpoints / "bernoulli"

    way = asyncio.run(traced(path, encode_request(path)))
    if not HAS_SIMDJSON:
        way = RequestPath([step for step in way.steps if step.file != PARSER])

    assert len(way.files) <= MOST_FILES, str(way)
    assert len(way.steps) <= MOST_FUNCTIONS, str(way)
    assert way.files[0] == "app/connection/protocol.py"
    assert way.steps.count(Step("model/engine/engine.py", "_encode")) == 1
    assert "app/calls/encode.py: encode\n" in str(way)
