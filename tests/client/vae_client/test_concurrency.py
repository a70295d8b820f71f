"""Several calls at once: results in order, a limit, and one error."""

import asyncio
from threading import Barrier, Lock, get_ident

import pytest

from vae_client.concurrency import run_in_tasks, run_in_threads


def test_tasks_keep_their_order_and_their_limit() -> None:
    """Three at once end in another order; the results are in that of the arguments."""
    n_running, most = 0, 0

    async def work(n: int) -> int:
        nonlocal n_running, most
        n_running += 1
        most = max(most, n_running)
        for _ in range(20 - n):  # the later start, the earlier end
            await asyncio.sleep(0)
        n_running -= 1
        return n * n

    results = asyncio.run(run_in_tasks(work, range(12), 3))

    assert results == [n * n for n in range(12)]
    assert most == 3


def test_the_first_failure_of_a_task_cancels_the_others() -> None:
    """It is raised as it is, with its cause, and not in a group."""
    cause, canceled, are_running = OSError("c"), list[int](), asyncio.Barrier(3)

    async def work(n: int) -> None:
        await are_running.wait()
        if n == 1:
            raise ValueError("no") from cause
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            canceled.append(n)
            raise

    with pytest.raises(ValueError, match="no") as failed:
        asyncio.run(run_in_tasks(work, range(3), 3))

    assert failed.value.__cause__ is cause
    assert sorted(canceled) == [0, 2]


def test_threads_keep_their_order_and_their_limit() -> None:
    """Two threads meet at a barrier, so exactly two run at once."""
    n_running, most, lock, barrier = 0, 0, Lock(), Barrier(2, timeout=30)

    def work(n: int) -> int:
        nonlocal n_running, most
        with lock:
            n_running += 1
            most = max(most, n_running)
        barrier.wait()
        with lock:
            n_running -= 1
        return n * n

    results = run_in_threads(work, range(12), 2)

    assert results == [n * n for n in range(12)]
    assert most == 2


def test_one_call_needs_no_pool() -> None:
    """A single argument is handled by the caller's own thread or task."""

    async def task(_: int) -> object:
        return asyncio.current_task()

    async def is_own_task() -> bool:
        return await run_in_tasks(task, [1], 4) == [asyncio.current_task()]

    assert asyncio.run(is_own_task())
    assert run_in_threads(lambda _: get_ident(), [1], 4) == [get_ident()]
