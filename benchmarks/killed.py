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
from pathlib import Path

from benchmarks import checkpoints
from benchmarks.kills import is_killed


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
