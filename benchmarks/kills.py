"""Kills a writer of a checkpoint before each of its calls of the system in turn."""

import os
import signal
from collections.abc import Callable
from typing import Any

from model.checkpoint import directories

_CALLS = {
    os: ("open", "fsync", "mkdir", "chmod", "rename", "unlink", "rmdir"),
    directories: ("_try_exchange",),
}


def is_killed(n: int, act: Callable[[], object]) -> bool:
    """
    Call a function in a process that is killed before its n-th call of the system.

    Returns:
        Whether it was killed, which it is not where there are fewer calls.
    """
    child = os.fork()
    if not child:
        status = 1
        try:
            _count_down(n)
            act()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if status not in (0, signal.SIGKILL):
        raise RuntimeError(f"the process ended with status {status}")
    return status == signal.SIGKILL


def _count_down(n: int) -> None:
    """Have this process killed before its n-th call of the system from now on."""
    left = [n]
    for module, names in _CALLS.items():
        for name in names:
            setattr(module, name, _deadly(getattr(module, name), left))


def _deadly(call: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    def counted(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)

    return counted
