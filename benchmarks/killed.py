"""
Replace a checkpoint repeatedly, in processes that are killed while they write.

    python -m benchmarks.killed DIRECTORY PID

The first process is killed with SIGKILL before its first system call that writes, the
second before its second, and so on until one replaces the checkpoint completely. After
each, the server PID gets SIGHUP. The weights stay the same, and so do the responses.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import checkpoints
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


def main() -> None:
    """Replace the checkpoint until a process is not killed."""
    directory, server = Path(sys.argv[1]), int(sys.argv[2])
    vae = checkpoints.digits()
    n = 1
    while is_killed(n, lambda: checkpoints.save(vae, directory)):
        os.kill(server, signal.SIGHUP)
        n += 1
    os.kill(server, signal.SIGHUP)
    checkpoints.save(vae, directory)
    left = [path.name for path in directory.parent.glob(f".{directory.name}*")]
    if left:
        raise RuntimeError(f"killed processes left {left}")


if __name__ == "__main__":
    main()
