"""
The file that a run is resumed from: tensors, progress and identity of the run.

It is a safetensors file. Its metadata have the SHA-256 of the whole file, computed with
zeros in the place of the hash, so that a damaged file is detected. Nothing here can
unpickle.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, final

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as safetensors_load
from safetensors.torch import save as safetensors_save
from torch import Tensor

from model.regular_files import read_regular

_HASH = "sha256"
_NO_HASH = "0" * 64
_KEYS = {"run", "progress"}
_OPTIONAL = {"extended_at"}  # counters that older versions do not write
_MAX_BYTES = 32 << 30  # about five times the weights of the largest configuration

_Count = Annotated[int, Field(ge=0)]


@final
class StateError(ValueError):
    """There is no run to resume, it is damaged, or it does not fit the options."""


@dataclass
class Progress:
    """
    The progress of a run.

    Noise and order are functions of (seed, epoch, step), so counters are sufficient.

    Attributes:
        epoch: Epochs completed.
        step: Steps taken in the current epoch.
        n_updates: Steps taken in total.
        extended_at: Epochs that were completed when the run was given more of them; 0
            if it was not, and in the states of older versions.
    """

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    epoch: _Count = 0
    step: _Count = 0
    n_updates: _Count = 0
    best_epoch: Annotated[int, Field(ge=1)] | None = None
    best_bound: float | None = None
    extended_at: _Count = 0


@final
@dataclass(frozen=True, eq=False)
class SavedState:
    """
    The content of the file.

    Attributes:
        run: The identity of the run, as JSON.
    """

    tensors: dict[str, Tensor]
    progress: Progress
    run: dict[str, Any]


def to_bytes(
    tensors: Mapping[str, Tensor], progress: Progress, run: Mapping[str, Any]
) -> bytearray:
    """Encode the content of the file."""
    content = bytearray(
        safetensors_save(
            {name: t.detach().cpu().contiguous() for name, t in tensors.items()},
            {
                "run": json.dumps(run),
                "progress": json.dumps(asdict(progress)),
                _HASH: _NO_HASH,
            },
        )
    )
    start = _hash_at(content)
    content[start : start + len(_NO_HASH)] = _sha256(content).encode()
    return content


def read(path: Path) -> SavedState:
    """
    Read and verify the file.

    Raises:
        StateError: It is missing or damaged, or not the state of a run.
    """
    try:
        content = read_regular(path, max_bytes=_MAX_BYTES)
    except FileNotFoundError:
        raise StateError(f"no run to resume: there is no {path}") from None
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror}") from error
    try:
        tensors = safetensors_load(content)
    except (SafetensorError, KeyError) as error:  # KeyError: a dtype torch lacks
        raise StateError(f"{path} is damaged: {error}") from error
    metadata = _metadata(content)
    if not metadata.keys() >= _KEYS:
        raise StateError(f"{path} is not the state of a training run")
    _check_hash(content, metadata, path)
    run: dict[str, Any] = _parse(metadata["run"], dict[str, Any], "run", path)
    progress: Progress = _parse(metadata["progress"], Progress, "progress", path)
    if asdict(progress).keys() - json.loads(metadata["progress"]).keys() - _OPTIONAL:
        raise StateError(f"{path} is damaged: progress: a counter is missing")
    return SavedState(tensors, progress, run)


def _metadata(content: bytes) -> dict[str, str]:
    length = int.from_bytes(content[:8], "little")
    found: dict[str, str] = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    return found


def _check_hash(content: bytes, metadata: Mapping[str, str], path: Path) -> None:
    if metadata.keys() == _KEYS:
        return  # written by a version without hashes
    wanted = metadata.get(_HASH, "")
    if metadata.keys() != {*_KEYS, _HASH} or len(wanted) != len(_NO_HASH):
        raise StateError(f"{path} is damaged: unknown metadata {sorted(metadata)}")
    found = _sha256(content)
    if found != wanted:
        raise StateError(f"{path} is damaged: expected sha256 {wanted}, got {found}")


def _hash_at(content: bytes | bytearray) -> int:
    """Return the position of the hash; quotes in other metadata are escaped."""
    key = b'"sha256":"'
    return content.index(key) + len(key)


def _sha256(content: bytes | bytearray) -> str:
    start = _hash_at(content)
    view = memoryview(content)
    digest = hashlib.sha256(view[:start])
    digest.update(_NO_HASH.encode())
    digest.update(view[start + len(_NO_HASH) :])
    return digest.hexdigest()


def _parse(content: str, schema: Any, name: str, path: Path) -> Any:
    try:
        return TypeAdapter(schema).validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join([name, *map(str, first["loc"])])
        raise StateError(f"{path} is damaged: {where}: {first['msg']}") from error
