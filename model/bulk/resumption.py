"""
The sidecar of an output that is not whole: what it is computed from, and how far.

A run with the same checkpoint, input and options continues; any other starts anew.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Self

from pydantic import ValidationError

from model import atomic_files, staging
from model.regular_files import read_regular
from model.section import Section

SUFFIX = ".json"
_MAX_BYTES = 1 << 26
_LIBRARIES = ("numpy", "onnxruntime", "torch")
Values = dict[str, str | int | float | bool | None]
Range = tuple[int, int]


class InputIdentity(Section):
    """
    What shows that an input is the same: its absolute path, size and time of change.

    Not a hash: that would read the whole input before every run, which takes longer
    than to encode it with a small network. If only the time has changed, a run starts
    anew, which costs time and nothing else.

    Attributes:
        size: In bytes, of all files.
        changed: Time of the last modification in nanoseconds; of a folder, a hash of
            the names, sizes and times of its files.
    """

    path: str
    size: int
    changed: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the identity of a file or folder."""
        where = str(path.resolve())
        if not path.is_dir():
            found = path.stat()
            return cls(path=where, size=found.st_size, changed=str(found.st_mtime_ns))
        size, digest = 0, hashlib.sha256()
        for one in sorted(path.rglob("*")):
            found = one.stat() if one.exists() else one.lstat()
            size += found.st_size
            name = one.relative_to(path).as_posix()
            digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
        return cls(path=where, size=size, changed=digest.hexdigest())


class Identity(Section):
    """
    Everything that the bits of an output depend on.

    Attributes:
        checkpoint: Its sha256.
        input: None for samples.
        options: By name, without those that change no bit.
        software: Versions of what computes, with the backend.
        block_rows: How many rows are computed and marked as done together.
    """

    checkpoint: str
    input: InputIdentity | None
    options: Values
    software: dict[str, str]
    block_rows: int

    def difference(self, other: "Identity") -> str | None:
        """Return what differs in words, None if nothing does."""
        if self.checkpoint != other.checkpoint:
            return f"the checkpoint was {self.checkpoint[:12]}"
        if self.input != other.input:
            return "the input has changed"
        for name, value in self.options.items():
            if other.options.get(name) != value:
                return f"--{name.replace('_', '-')} was {value}"
        if self.software != other.software:
            return "it was computed by other software"
        return None if self == other else "the options were others"


def software(backend: str, device: str) -> dict[str, str]:
    """Return what computes: versions, backend and device."""
    return {
        "backend": backend,
        "device": device,
        **{name: version(name) for name in _LIBRARIES},
    }


class Sidecar(Section):
    """
    The content of the sidecar.

    Attributes:
        done: Ranges of blocks, [first, last + 1], whose rows are on disk.
    """

    format_version: Literal[1] = 1
    identity: Identity
    done: tuple[Range, ...]

    def blocks(self) -> set[int]:
        """Return the blocks that are done."""
        return {i for first, stop in self.done for i in range(first, stop)}


def read(path: Path) -> Sidecar | str:
    """Return a sidecar, or in words why there is none that can be used."""
    try:
        return Sidecar.model_validate_json(read_regular(path, max_bytes=_MAX_BYTES))
    except FileNotFoundError:
        return f"there is no {path.name}"
    except (OSError, ValidationError):
        return f"{path.name} cannot be read"


def write(path: Path, identity: Identity, done: Iterable[int]) -> None:
    """
    Write the sidecar atomically.

    Raises:
        OSError: Writing failed.
    """
    content = Sidecar(identity=identity, done=tuple(_ranges(sorted(done))))
    atomic_files.replace(path, content.model_dump_json().encode())


def remove(path: Path) -> None:
    """Remove a sidecar if there is one, also from the disk."""
    path.unlink(missing_ok=True)
    staging.fsync_directory(path.parent)


def as_values(options: Mapping[str, object]) -> Values:
    """Return options as JSON can hold them."""
    return {
        name: value
        if isinstance(value, str | int | float | bool | None)
        else json.dumps(value, default=str)
        for name, value in options.items()
    }


def _ranges(blocks: Sequence[int]) -> Iterable[Range]:
    start = 0
    for i in range(1, len(blocks) + 1):
        if i == len(blocks) or blocks[i] != blocks[i - 1] + 1:
            yield blocks[start], blocks[i - 1] + 1
            start = i
