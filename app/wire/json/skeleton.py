"""A JSON body that is cut in two: its array of rows, and the rest."""

from typing import NamedTuple, final


@final
class Cut(NamedTuple):
    """A body whose rows are the array in [start, stop); `skeleton` has it empty."""

    start: int
    stop: int
    skeleton: bytes
