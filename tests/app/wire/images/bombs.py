"""
What reading images takes in memory: `python -m tests.app.wire.images.bombs FILE ...`.

Each file is read in a process of its own, which prints the error and by how many KiB it
grew. It reads an ordinary picture first, because the first one takes memory of its own.
"""

import os
import resource
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image

from app.errors import ContentTooLargeError
from app.wire.images.decode import ImageFile, read
from app.wire.images.layout import image_layout
from app.wire.layout import Layout
from app.wire.negotiation import JPEG, PNG


def main() -> None:
    """Read each of the files."""
    for path in map(Path, sys.argv[1:]):
        file = path.read_bytes()
        if os.fork():
            assert os.wait()[1] == 0
        else:
            _read(file)
            os._exit(0)


def _read(file: bytes) -> None:
    format_ = PNG if file.startswith(b"\x89PNG") else JPEG
    small = BytesIO()
    Image.new("L", (8, 8)).save(small, "PNG" if format_ is PNG else "JPEG")
    _array(ImageFile("", format_, small.getvalue()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        _array(ImageFile("", format_, file))
    except ContentTooLargeError as error:
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(error.detail, grown, sep="\t", flush=True)  # noqa: T201
    else:
        os._exit(1)


def _array(file: ImageFile) -> None:
    layout = image_layout((4, 4), max_pixels=1 << 24)
    read([file], layout, Layout("x", (4, 4), 1), resize=True)


if __name__ == "__main__":
    main()
