"""What an operation answers, before it has a format."""

from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np

from app.wire.layout import Array

Chunk = bytes | memoryview
CHUNK_BYTES = 1 << 20


@final
class Tensor(NamedTuple):
    """An array of an answer, under the name the contract gives it."""

    name: str
    values: Array


@final
class Scalar(NamedTuple):
    """A member of an answer that is no array."""

    name: str
    value: int | str | None


@final
class Reply(NamedTuple):
    """Arrays first, the main one leading, then scalars."""

    tensors: tuple[Tensor, ...]
    scalars: tuple[Scalar, ...] = ()

    @property
    def size(self) -> int:
        """The number of values of all arrays."""
        size = 0
        for tensor in self.tensors:
            size += tensor.values.size
        return size


def chunks(values: Array) -> Sequence[Chunk]:
    """Return the bytes of an array in pieces that are views of it."""
    whole = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
    return [whole[i : i + CHUNK_BYTES] for i in range(0, len(whole), CHUNK_BYTES)]
