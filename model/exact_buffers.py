"""Modules whose buffers keep their precision."""

from collections.abc import Callable
from typing import Self

from torch import Tensor, nn


class ExactBuffers(nn.Module):
    """A module that keeps the dtype of its buffers when `.float()` changes weights."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # noqa: FBT001, FBT002  as in torch
        before = dict(self.named_buffers())
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # untyped in torch
        for name, buffer in before.items():
            moved = getattr(self, name)
            if moved.dtype != buffer.dtype:  # `.float()`: keep the device alone
                setattr(self, name, buffer.to(moved.device))
        return self
