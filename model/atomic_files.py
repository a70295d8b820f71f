"""Write a file whole or not at all."""

import os
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """
    Put a file in place in one step; a kill at any moment leaves the old or the new one.

    Raises:
        OSError: The disk refused; what stood there before still stands.
    """
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
