"""Checkpoints that a start must refuse, each with what it says."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors.numpy import load, save


def edit_config(directory: Path, key: str, value: object) -> None:
    """Change the configuration and make the manifest agree with it."""
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config[key] = value
    rewrite(directory, "config.json", json.dumps(config).encode())


def rewrite(directory: Path, name: str, content: bytes) -> None:
    """Replace a file, and its hash and size in the manifest."""
    (directory / name).write_bytes(content)
    manifest = json.loads((directory / "manifest.json").read_text())
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    manifest["files"][name] = entry
    (directory / "manifest.json").write_text(json.dumps(manifest))


def flip_a_bit(directory: Path) -> None:
    """Change one bit in the middle of the weights."""
    path = directory / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(directory: Path) -> None:
    """Cut off the last byte of the weights."""
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def put_nan(directory: Path) -> None:
    """Make one weight NaN, with hashes that agree."""
    tensors = load((directory / "model.safetensors").read_bytes())
    name = min(tensors)
    tensors[name] = tensors[name].copy()
    tensors[name].flat[0] = float("nan")
    rewrite(directory, "model.safetensors", save(tensors))


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no such directory": (shutil.rmtree, "no such directory"),
    "a flipped bit": (flip_a_bit, "expected sha256"),
    "truncated": (truncate, "bytes"),
    "unknown key": (lambda path: edit_config(path, "beta", 4), "config.json: beta"),
    "format version": (
        lambda path: edit_config(path, "format_version", 3),
        "config.json: format_version",
    ),
    "NaN": (put_nan, "expected finite values, got nan"),
}
