"""A request that no machine finishes before something ends it."""

import json
from typing import Any

# 164 million draws, at some two to ten million a second: minutes, unless a deadline,
# a shutdown or a client that leaves ends it. VAE_MAX_WORK must allow it.
LONG: dict[str, Any] = {"x": [[0] * 16] * 16_384, "n_samples": 10_000}
LONG_BODY = json.dumps(LONG).encode()
