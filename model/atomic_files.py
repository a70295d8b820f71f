"""Write a file whole or not at all."""

import os
from pathlib import Path

from model import staging


def replace(path: Path, content: bytes | bytearray) -> None:
    """
    Put a file in place in one step; a kill at any moment leaves the old or the new one.

    Processes that write the same file at the same time do not disturb each other: the
    last rename wins. What a killed process left half written is removed.

    Raises:
        OSError: The disk refused; what stood there before still stands.
    """
    staging.remove_leftovers(path)
    with staging.new_file(path) as (staged, file):
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        staged.replace(path)
    staging.fsync_directory(path.parent)
