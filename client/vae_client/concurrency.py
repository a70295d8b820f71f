"""The two ways to wait and to run several requests at once: in tasks, in threads."""

import asyncio
import time
from asyncio import Semaphore, TaskGroup
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

A = TypeVar("A")
R = TypeVar("R")

sleep_in_task = asyncio.sleep
sleep_in_thread = time.sleep


async def run_in_tasks(
    function: Callable[[A], Coroutine[Any, Any, R]],
    arguments: Sequence[A],
    n_at_once: int,
) -> list[R]:
    """
    Return the results of a coroutine function for each argument, in order.

    At the first failure the other tasks are canceled, and that failure is raised as it
    is, not in an exception group.
    """
    if len(arguments) == 1:
        return [await function(arguments[0])]
    gate = Semaphore(n_at_once)

    async def limited(argument: A) -> R:
        async with gate:
            return await function(argument)

    try:
        async with TaskGroup() as group:
            tasks = [group.create_task(limited(argument)) for argument in arguments]
    except BaseExceptionGroup as failures:
        first = failures.exceptions[0]
        raise first from first.__cause__
    return [task.result() for task in tasks]


def run_in_threads(
    function: Callable[[A], R], arguments: Sequence[A], n_at_once: int
) -> list[R]:
    """
    Return the results of a function for each argument, in order.

    At a failure no further call is started; those that are running end first.
    """
    if len(arguments) == 1:
        return [function(arguments[0])]
    with ThreadPoolExecutor(n_at_once) as pool:
        return list(pool.map(function, arguments))
