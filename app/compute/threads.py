"""Runs work on large arrays in a thread, so that the event loop is not blocked."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

# Normal noise of so many values takes 1 ms, and everything else less.
_INLINE_VALUES = 1 << 16


async def run_in_thread_if_large(
    n_values: int, make: Callable[..., _T], *arguments: object
) -> _T:
    """Call a function that computes `n_values` values; in a thread if they are many."""
    if n_values <= _INLINE_VALUES:
        return make(*arguments)
    return await asyncio.to_thread(make, *arguments)
