"""
The only reader and writer of checkpoints.

A checkpoint is a directory: `config.json`, `model.safetensors`, `manifest.json`,
`metrics.json`, `README.md` and pictures, and where training wrote them
`calibration.safetensors` and `examples.safetensors`. It is written whole or not at all,
and every byte that is used is verified before it is used. Nothing here can unpickle.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, final

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as safetensors_load
from safetensors.torch import save as safetensors_save
from torch import Tensor

from model.checkpoint.directories import write_directory
from model.checkpoint.held_out import Calibration, Examples
from model.checkpoint.manifest import FileEntry, Golden, Manifest, Metrics, Provenance
from model.config import Config
from model.vae import VAE, empty

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
MANIFEST = "manifest.json"
METRICS = "metrics.json"
CARD = "README.md"
CALIBRATION = "calibration.safetensors"
EXAMPLES = "examples.safetensors"

_MAX_JSON_BYTES = 16 << 20

_Schema = TypeVar("_Schema", bound=BaseModel)
_Content = TypeVar("_Content")


@final
class CheckpointError(ValueError):
    """A checkpoint is missing, damaged or of a format this version cannot read."""


@final
@dataclass(frozen=True, eq=False)
class Checkpoint:
    """
    A verified checkpoint in memory.

    Attributes:
        vae: Weights on the CPU, in evaluation mode, not requiring gradients.
        sha256: Hash of the manifest, which names the hash of every file.
        calibration: Of held-out rows; null where none was written.
        examples: Held-out rows; null where none were written.
    """

    vae: VAE
    manifest: Manifest
    metrics: Metrics
    sha256: str
    calibration: Calibration | None
    examples: Examples | None

    @property
    def config(self) -> Config:
        """The model's architecture and what its data were."""
        return self.vae.config


def save(
    directory: Path,
    *,
    vae: VAE,
    provenance: Provenance,
    metrics: Metrics,
    card: str,
    attachments: Mapping[str, bytes] | None = None,
    golden: Golden | None = None,
) -> None:
    """
    Write a checkpoint atomically: temporary directory, fsync, rename.

    An existing checkpoint of that name is replaced; until the new one is complete on
    disk the old one stays.

    Args:
        card: The model card, Markdown.
        attachments: Further files by name: the card's pictures, `CALIBRATION`,
            `EXAMPLES`.
        golden: What the first of the examples score; null if there are none.
    """
    files = {
        CONFIG: vae.config.model_dump_json(indent=2).encode(),
        WEIGHTS: safetensors_save(_contiguous(vae.state_dict())),
        METRICS: metrics.model_dump_json(indent=2).encode(),
        CARD: card.encode(),
        **(attachments or {}),
    }
    entries = {
        name: FileEntry(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        for name, content in files.items()
    }
    manifest = Manifest(
        format_version=1, files=entries, provenance=provenance, golden=golden
    )
    files[MANIFEST] = manifest.model_dump_json(indent=2).encode()
    write_directory(directory, files)


def load(directory: Path) -> Checkpoint:
    """
    Read and verify a checkpoint.

    Raises:
        CheckpointError: Anything is missing, changed, of another format, of another
            shape or dtype, or not finite; the message names file and key, what was
            wanted and what came.
    """
    if not directory.is_dir():
        raise CheckpointError(f"no checkpoint at {directory}: no such directory")
    raw_manifest = _read(directory / MANIFEST)
    manifest = _parse(Manifest, raw_manifest, directory / MANIFEST)
    config = _parse(Config, _verified(directory, CONFIG, manifest), directory / CONFIG)
    metrics = _parse(
        Metrics, _verified(directory, METRICS, manifest), directory / METRICS
    )
    vae = empty(config)
    weights = _weights(_verified(directory, WEIGHTS, manifest), directory / WEIGHTS)
    _check_weights(weights, wanted=vae.state_dict(), path=directory / WEIGHTS)
    vae.load_state_dict(weights, assign=True)
    examples = _optional(
        *(directory, EXAMPLES, manifest),
        lambda content: Examples.from_bytes(content).checked(config),
    )
    _check_golden(manifest.golden, examples, directory / MANIFEST)
    return Checkpoint(
        vae=vae.requires_grad_(False).eval(),
        manifest=manifest,
        metrics=metrics,
        sha256=hashlib.sha256(raw_manifest).hexdigest(),
        calibration=_optional(
            *(directory, CALIBRATION, manifest),
            lambda content: Calibration.from_bytes(content).checked(config),
        ),
        examples=examples,
    )


def identity(directory: Path) -> str:
    """
    Return what `load` would give as the sha256 of the checkpoint.

    Raises:
        CheckpointError: Its manifest cannot be read.
    """
    return hashlib.sha256(_read(directory / MANIFEST)).hexdigest()


def _contiguous(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def _read(path: Path, size: int | None = None) -> bytes:
    try:
        found = path.stat().st_size
        if size is None and found > _MAX_JSON_BYTES:
            raise CheckpointError(
                f"{path}: expected at most {_MAX_JSON_BYTES} bytes, got {found}"
            )
        if size is not None and found != size:
            raise CheckpointError(f"{path}: expected {size} bytes, got {found}")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error


def _verified(directory: Path, name: str, manifest: Manifest) -> bytes:
    """Read a file once and check those bytes against the manifest."""
    entry = manifest.files.get(name)
    if entry is None:
        raise CheckpointError(f"{directory / MANIFEST}: does not list {name}")
    content = _read(directory / name, entry.size)
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != entry.sha256:
        raise CheckpointError(
            f"{directory / name}: expected sha256 {entry.sha256}, got {sha256}"
        )
    return content


def _optional(
    directory: Path,
    name: str,
    manifest: Manifest,
    read: Callable[[bytes], _Content],
) -> _Content | None:
    """Read a file that older checkpoints have not, if the manifest lists it."""
    if name not in manifest.files:
        return None
    try:
        return read(_verified(directory, name, manifest))
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{directory / name}: {error}") from error


def _check_golden(golden: Golden | None, examples: Examples | None, path: Path) -> None:
    n_rows = len(examples.x) if examples is not None else 0
    n_scored = len(golden.elbo) if golden is not None else 0
    if n_scored > n_rows:
        raise CheckpointError(
            f"{path}: golden: expected the ELBO of at most {n_rows} examples, "
            f"got {n_scored}"
        )


def _parse(schema: type[_Schema], content: bytes, path: Path) -> _Schema:
    try:
        return schema.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise CheckpointError(f"{path}: {where}: {first['msg']}") from error


def _weights(content: bytes, path: Path) -> dict[str, Tensor]:
    try:
        return safetensors_load(content)
    except (SafetensorError, KeyError) as error:  # KeyError: a dtype torch has not
        raise CheckpointError(f"{path}: not a safetensors file: {error}") from error


def _check_weights(
    weights: Mapping[str, Tensor], *, wanted: Mapping[str, Tensor], path: Path
) -> None:
    missing, unknown = wanted.keys() - weights.keys(), weights.keys() - wanted.keys()
    if missing or unknown:
        raise CheckpointError(
            f"{path}: expected exactly the keys of the configuration, got "
            f"{sorted(missing)[:5]} missing and {sorted(unknown)[:5]} unknown"
        )
    for name, tensor in weights.items():
        expected = wanted[name]
        if tensor.shape != expected.shape or tensor.dtype != expected.dtype:
            raise CheckpointError(
                f"{path}: {name}: expected {expected.dtype} {list(expected.shape)}, "
                f"got {tensor.dtype} {list(tensor.shape)}"
            )
        _check_values(tensor, torch.isfinite(tensor), "finite values", name, path)
        if name.endswith("standardization.scale"):
            _check_values(tensor, tensor > 0, "positive values", name, path)


def _check_values(
    tensor: Tensor, good: Tensor, wanted: str, name: str, path: Path
) -> None:
    if not good.all():
        index = (~good).nonzero()[0].tolist()
        raise CheckpointError(
            f"{path}: {name}: expected {wanted}, got "
            f"{tensor[tuple(index)].item()} at {index}"
        )
