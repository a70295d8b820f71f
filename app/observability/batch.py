"""What the metrics learn of a batch of rows."""

from typing import NamedTuple, final


@final
class Batch(NamedTuple):
    """One batch that was computed."""

    operation: str
    n_requests: int
    n_rows: int
    queue_seconds: float
    compute_seconds: float
