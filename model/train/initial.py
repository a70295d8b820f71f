"""The checkpoint that training starts from, with --init-from."""

from functools import cache
from pathlib import Path

from model.remote.copies import local_checkpoint


@cache
def initial_checkpoint(where: str | Path) -> Path:
    """
    Return the directory of --init-from; one behind a URL is copied, once in a process.

    Raises:
        CheckpointError: It cannot be copied.
    """
    return local_checkpoint(where)
