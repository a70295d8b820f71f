"""
Default limits that keep a worker within its part of the memory that there is.

A worker's part is 90 % of the memory, divided by the workers. The process with its
libraries takes `PROCESS_BYTES` of it, and a model four times its weights: two engines
hold them, and while a checkpoint is swapped in there are two. The rest is divided among
what clients can make grow, and a share is left to what is held for a moment only.
"""

from pathlib import Path

from app.configuration.machine import available_memory

PROCESS_BYTES = 256 << 20
MIN_SHARED_BYTES = 64 << 20
COPIES_OF_WEIGHTS = 4
N_SHARES = 4

# What each of these may cost, in bytes of its share.
PER_BYTE = 1
PER_BODY_BYTE = 3  # "0," in JSON becomes a float32: the body and its rows
PER_OUTPUT_VALUE = 8  # a float32, twice while the parts of a response are joined
PER_PIXEL = 16  # three colors as bytes and as float32
PER_CONNECTION = 256 << 10  # what one read brings, before it is counted

_MARGIN = 0.9
_WEIGHTS = "model.safetensors"


def shared_bytes(checkpoint: Path, n_workers: int, memory: int | None = None) -> int:
    """
    Return what a worker has for all that clients can make grow.

    Args:
        memory: Bytes of memory that there are; by default those of this machine.
    """
    there = available_memory() if memory is None else memory
    rest = int(_MARGIN * there) // n_workers - _own_bytes(checkpoint)
    return max(MIN_SHARED_BYTES, rest)


def wanted_bytes(checkpoint: Path, n_workers: int) -> int:
    """Return the least memory in which default limits keep workers safe."""
    return int(n_workers * (_own_bytes(checkpoint) + MIN_SHARED_BYTES) / _MARGIN)


def _own_bytes(checkpoint: Path) -> int:
    """Return what a worker takes before anybody asks for anything."""
    try:
        n_weights = (checkpoint / _WEIGHTS).stat().st_size
    except OSError:  # which the start will say
        n_weights = 0
    return PROCESS_BYTES + COPIES_OF_WEIGHTS * n_weights


def share(checkpoint: Path, n_workers: int) -> int:
    """Return the bytes of one of the shares: bodies, rows, responses, connections."""
    return shared_bytes(checkpoint, n_workers) // N_SHARES
