"""What an operation answers, before it has a format."""

from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np

from app.wire.layout import Array

Chunk = bytes | memoryview
CHUNK_BYTES = 1 << 20


@final
class Reply(NamedTuple):
    """Arrays by the contract's names, the main one first, and other members."""

    tensors: dict[str, Array]
    scalars: dict[str, int | str | None] = {}  # noqa: RUF012  nobody writes to it

    @property
    def main(self) -> Array:
        """The main array, as many rows as are answered."""
        return next(iter(self.tensors.values()))


def chunks(values: Array) -> Sequence[Chunk]:
    """Return the bytes of an array in pieces that are views of it."""
    whole = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
    return [whole[i : i + CHUNK_BYTES] for i in range(0, len(whole), CHUNK_BYTES)]
