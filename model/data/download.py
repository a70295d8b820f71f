"""Download files from public mirrors, and verify them before they are stored."""

import os
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.error import HTTPError

from model import staging
from model.files import DataError
from model.files.idx import MAX_BYTES

TIMEOUT_S = 30.0
_CHUNK = 2**16
_WITHOUT_DOWNLOAD = (
    "fetch the files by other means and pass their folder as --data-dir; a container "
    "needs it as a mount (--volume FOLDER:/data:ro, and --data-dir /data)"
)


def fetch(
    file: str,
    *,
    mirrors: Sequence[str],
    directory: Path,
    verify: Callable[[Path], object],
) -> Path:
    """
    Download a file from the first mirror that has a good copy, and return its path.

    The file is written under a temporary name and renamed once `verify` has accepted
    it, so an interrupted or wrong download is never mistaken for the file. A progress
    bar is shown on stderr if that is a terminal.

    Args:
        mirrors: URLs of folders, each ending in a slash.
        verify: Raises DataError if the file at the path is not the one wanted.

    Raises:
        DataError: No mirror had a good copy, or the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"no folder to download {file} to: {directory}: {error.strerror}; "
            f"{_WITHOUT_DOWNLOAD}"
        ) from error
    faults = []
    for mirror in mirrors:
        try:
            return _fetch_from(mirror + file, directory / file, verify)
        except (DataError, OSError, HTTPException) as error:
            if isinstance(error, HTTPError):
                error.close()  # it is a response too
            faults.append(f"{mirror}{file}: {error}")
    raise DataError(
        f"could not download {file} ({'; '.join(faults)}); {_WITHOUT_DOWNLOAD}"
    )


def _fetch_from(url: str, path: Path, verify: Callable[[Path], object]) -> Path:
    staging.remove_leftovers(path)
    with staging.new_file(path) as (partial, file):
        _copy(url, file)
        file.flush()
        os.fsync(file.fileno())
        verify(partial)
        partial.replace(path)
    return path


def _copy(url: str, file: IO[bytes]) -> None:
    from tqdm import tqdm  # noqa: PLC0415 an extra, which bulk work has not

    request = urllib.request.urlopen(url, timeout=TIMEOUT_S)  # noqa: S310 our mirrors
    with request as response:
        promised = response.headers.get("Content-Length")
        n_promised = int(promised) if promised and promised.isdigit() else None
        name = url.rsplit("/", 1)[-1]
        # disable=None: no bar where stderr is not a terminal
        with tqdm(
            desc=name, total=n_promised, unit="B", unit_scale=True, disable=None
        ) as bar:
            n_received = 0
            while chunk := response.read(_CHUNK):
                n_received += file.write(chunk)
                bar.update(len(chunk))
                if n_received > MAX_BYTES:
                    raise DataError(f"more than {MAX_BYTES} bytes came")
    # A connection closed early looks like the end of the file to read(n).
    if n_promised is not None and n_received != n_promised:
        raise DataError(f"{n_received} of {n_promised} bytes came")
