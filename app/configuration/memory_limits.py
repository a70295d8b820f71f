"""
Default limits that keep each worker within its share of the available memory.

A worker may use 90 % of the memory divided by the number of workers. The process with
its libraries takes `PROCESS_BYTES`, and a model four times its weights: two engines
hold them, and during a reload there are two models. The rest is divided into equal
shares for what clients can fill; one of them covers what is held only briefly.
"""

from pathlib import Path

from model.machine import available_memory

PROCESS_BYTES = 256 << 20
MIN_SHARED_BYTES = 64 << 20
COPIES_OF_WEIGHTS = 4
N_SHARES = 4

# The memory that each of these takes, in bytes.
PER_BYTE = 1
PER_BODY_BYTE = 3  # "0," in JSON becomes a float32: the body and its rows
PER_OUTPUT_VALUE = 8  # a float32, twice while the parts of a response are joined
PER_PIXEL = 16  # three channels as bytes and as float32
PER_CONNECTION = 256 << 10  # the data of one read, before they are counted

_MARGIN = 0.9
_WEIGHTS = "model.safetensors"


def shared_bytes(checkpoint: Path, n_workers: int, memory: int | None = None) -> int:
    """
    Return the memory of a worker for everything that clients can fill.

    Args:
        memory: Bytes of memory; by default those available on this machine.
    """
    available = available_memory() if memory is None else memory
    rest = int(_MARGIN * available) // n_workers - _own_bytes(checkpoint)
    return max(MIN_SHARED_BYTES, rest)


def wanted_bytes(checkpoint: Path, n_workers: int) -> int:
    """Return the least memory for which the default limits are safe."""
    return int(n_workers * (_own_bytes(checkpoint) + MIN_SHARED_BYTES) / _MARGIN)


def _own_bytes(checkpoint: Path) -> int:
    """Return the memory of a worker without any requests."""
    try:
        n_weights = (checkpoint / _WEIGHTS).stat().st_size
    except OSError:  # reported later, when the checkpoint is loaded
        n_weights = 0
    return PROCESS_BYTES + COPIES_OF_WEIGHTS * n_weights


def share(checkpoint: Path, n_workers: int) -> int:
    """Return the bytes of one share: for bodies, rows, responses or connections."""
    return shared_bytes(checkpoint, n_workers) // N_SHARES
