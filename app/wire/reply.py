"""What an operation answers, before it has a format."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

Chunk = bytes | memoryview
CHUNK_BYTES = 1 << 18
FLOAT32_BYTES = 4


@final
class Reply(NamedTuple):
    """
    Arrays by the contract's names, the main one first, and other members.

    Attributes:
        tensors: float32, float64, int64 or bool.
        nullable: Names of those that may hold NaN or infinity, null in JSON.
    """

    tensors: dict[str, NDArray[Any]]
    scalars: dict[str, int | str | None] = {}  # noqa: RUF012  nobody writes to it
    nullable: Collection[str] = ()

    @property
    def main(self) -> NDArray[Any]:
        """The main array, as many rows as are answered."""
        return next(iter(self.tensors.values()))


def chunks(values: NDArray[Any]) -> Sequence[Chunk]:
    """Return the bytes of an array in pieces that are views of it."""
    whole = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
    return [whole[i : i + CHUNK_BYTES] for i in range(0, len(whole), CHUNK_BYTES)]
