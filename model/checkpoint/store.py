"""
The only reader and writer of checkpoints.

A checkpoint is a directory: `config.json`, `model.safetensors`, `manifest.json`,
`metrics.json`, `README.md` and pictures, and usually `calibration.safetensors` and
`examples.safetensors`. Networks that were trained elsewhere are in `encoder.onnx` and
`decoder.onnx`, without their weights. It is written atomically, and every file in the
manifest is verified before anything is used. Nothing here can unpickle.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, final

from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load as safetensors_load
from safetensors.torch import save as safetensors_save
from torch import Tensor

from model.checkpoint import version_1
from model.checkpoint.directories import write_directory
from model.checkpoint.files import (
    MAX_JSON_BYTES,
    CheckpointError,
    Files,
    check_names,
    parse,
    read_files,
)
from model.checkpoint.held_out import Calibration, Examples
from model.checkpoint.manifest import (
    FileEntry,
    Golden,
    Manifest,
    ModelMetrics,
    Provenance,
)
from model.checkpoint.names import (
    CALIBRATION,
    CARD,
    CONFIG,
    DECODER,
    ENCODER,
    EXAMPLES,
    MANIFEST,
    METRICS,
    WEIGHTS,
)
from model.checkpoint.tensors import check_shapes, check_values
from model.config import FORMAT_VERSION, Config
from model.graph import (
    MAX_GRAPH_BYTES,
    Graph,
    GraphError,
    Graphs,
    read_stored,
    serialize,
)
from model.vae import VAE, empty

_MAX_HELD_OUT_BYTES = 1 << 28
_MAX_HEADER_BYTES = 16 << 20  # of a safetensors file

_Schema = TypeVar("_Schema", bound=BaseModel)
_Content = TypeVar("_Content")


@final
@dataclass(frozen=True, eq=False)
class Checkpoint:
    """
    A verified checkpoint in memory.

    Attributes:
        vae: Weights on the CPU, in evaluation mode, not requiring gradients.
        sha256: Hash of the manifest, which contains the hash of every file.
        calibration: Of held-out rows; None if the checkpoint has none.
        examples: Held-out rows; null where none were written.
    """

    vae: VAE
    manifest: Manifest
    metrics: ModelMetrics
    sha256: str
    calibration: Calibration | None
    examples: Examples | None

    @property
    def config(self) -> Config:
        """The model's architecture and the preprocessing of its data."""
        return self.vae.config

    @property
    def version(self) -> str:
        """A short name: the start of `sha256`."""
        return self.sha256[:12]


def save(
    directory: str | Path,
    *,
    vae: VAE,
    provenance: Provenance,
    metrics: ModelMetrics,
    card: str,
    attachments: Mapping[str, bytes] | None = None,
    golden: Golden | None = None,
) -> None:
    """
    Write a checkpoint atomically: temporary directory, fsync, rename.

    An existing checkpoint of that name is replaced when the new one is complete on
    disk.

    Args:
        card: The model card, Markdown.
        attachments: Further files by name: the card's pictures, `CALIBRATION`,
            `EXAMPLES`.
        golden: The ELBO of the first examples; None without examples.
    """
    config = vae.config.model_copy(update={"format_version": FORMAT_VERSION})
    files = {
        CONFIG: config.model_dump_json(indent=2).encode(),
        WEIGHTS: safetensors_save(_contiguous(vae.state_dict())),
        METRICS: metrics.model_dump_json(indent=2).encode(),
        CARD: card.encode(),
        **_graph_files(vae.graphs),
        **(attachments or {}),
    }
    check_names(files)
    entries = {
        name: FileEntry(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        for name, content in files.items()
    }
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        files=entries,
        provenance=provenance,
        golden=golden,
    )
    files[MANIFEST] = manifest.model_dump_json(indent=2).encode()
    write_directory(Path(directory), files)


def load(directory: str | Path) -> Checkpoint:
    """
    Read and verify a checkpoint.

    If it is replaced during that, either the old one is read completely or the new one.

    Raises:
        CheckpointError: Something is missing, changed, of another format, shape or
            dtype, or not finite; the message has file, key, and the expected and the
            actual value.
    """
    return read_files(Path(directory), _load)


def _load(files: Files) -> Checkpoint:
    config = _parse_file(files, CONFIG, Config)
    metrics = _parse_file(files, METRICS, ModelMetrics)
    vae = empty(config, _read_graphs(files, config))
    wanted = vae.state_dict()
    content = files.read(WEIGHTS, max_bytes=_max_bytes(wanted))
    weights = _weights(content, config, files.path / WEIGHTS)
    _check_weights(weights, wanted=wanted, path=files.path / WEIGHTS)
    vae.load_state_dict(weights, assign=True)
    examples = _optional(
        files, EXAMPLES, lambda content: Examples.from_bytes(content).check_for(config)
    )
    _check_golden(files.manifest.golden, examples, files.path / MANIFEST)
    calibration = _optional(
        files,
        CALIBRATION,
        lambda content: Calibration.from_bytes(content).check_for(config),
    )
    files.verify_rest()
    return Checkpoint(
        vae=vae.requires_grad_(False).eval(),
        manifest=files.manifest,
        metrics=metrics,
        sha256=files.sha256,
        calibration=calibration,
        examples=examples,
    )


def _graph_files(graphs: Graphs | None) -> dict[str, bytes]:
    if graphs is None:
        return {}
    return {ENCODER: serialize(graphs.encoder), DECODER: serialize(graphs.decoder)}


def _read_graphs(files: Files, config: Config) -> Graphs | None:
    """Read the networks of a configuration that were trained elsewhere."""
    if config.encoder.kind != "graph":
        return None
    n_heads = 1 if config.likelihood.sigma_floor is None else 2
    sizes = (config.data_dim, config.latent_dim)
    return Graphs(
        encoder=_read_graph(files, ENCODER, sizes, n_heads=2),
        decoder=_read_graph(files, DECODER, sizes[::-1], n_heads=n_heads),
    )


def _read_graph(
    files: Files, name: str, sizes: tuple[int, ...], *, n_heads: int
) -> Graph:
    content = files.read(name, max_bytes=MAX_GRAPH_BYTES)
    try:
        return read_stored(content, n_in=sizes[0], n_out=sizes[1], n_heads=n_heads)
    except GraphError as error:
        raise CheckpointError(f"{files.path / name}: {error}") from error


def _contiguous(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def _max_bytes(weights: Mapping[str, Tensor]) -> int:
    """Return the most bytes that a file with these tensors may have."""
    n_bytes = sum(t.numel() * t.element_size() for t in weights.values())
    return n_bytes + _MAX_HEADER_BYTES


def _parse_file(files: Files, name: str, schema: type[_Schema]) -> _Schema:
    content = files.read(name, max_bytes=MAX_JSON_BYTES)
    return parse(schema, content, files.path / name)


def _optional(
    files: Files, name: str, read: Callable[[bytes], _Content]
) -> _Content | None:
    """Read a file that older checkpoints lack, if it is in the manifest."""
    if name not in files.manifest.files:
        return None
    try:
        return read(files.read(name, max_bytes=_MAX_HELD_OUT_BYTES))
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{files.path / name}: {error}") from error


def _check_golden(golden: Golden | None, examples: Examples | None, path: Path) -> None:
    n_rows = len(examples.x) if examples is not None else 0
    n_scored = len(golden.elbo) if golden is not None else 0
    if n_scored > n_rows:
        raise CheckpointError(
            f"{path}: golden: expected the ELBO of at most {n_rows} examples, "
            f"got {n_scored}"
        )


def _weights(content: bytes, config: Config, path: Path) -> dict[str, Tensor]:
    try:
        return version_1.convert(safetensors_load(content), config)
    except (SafetensorError, KeyError) as error:  # KeyError: a dtype torch has not
        raise CheckpointError(f"{path}: not a safetensors file: {error}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _check_weights(
    weights: Mapping[str, Tensor], *, wanted: Mapping[str, Tensor], path: Path
) -> None:
    try:
        check_shapes(weights, wanted)
        check_values(weights)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
