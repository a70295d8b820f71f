"""Replace a file atomically: a reader sees the old content or the new, never a part."""

import os
from pathlib import Path

from model import staging


def replace(path: Path, content: bytes | bytearray) -> None:
    """
    Replace a file in one step; a kill at any moment leaves the old or the new content.

    Several processes may write the same file at the same time: the last rename wins.
    Incomplete files that killed processes have left are removed first.

    Raises:
        OSError: Writing failed; the old file is unchanged.
    """
    staging.remove_leftovers(path)
    with staging.naming(path), staging.new_file(path) as (staged, file):
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        staged.replace(path)
    staging.fsync_directory(path.parent)
