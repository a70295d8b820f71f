"""The figures of a batch of rows, for the metrics."""

from typing import NamedTuple, final


@final
class Batch(NamedTuple):
    """The size and the times of one computed batch."""

    operation: str
    n_rows: int
    queue_seconds: float
    compute_seconds: float
