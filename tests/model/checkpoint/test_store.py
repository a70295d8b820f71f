"""A checkpoint is read back to the bit, written whole, and refused when damaged."""

import hashlib
import json
import os
import pickle
import shutil
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from model import checkpoint
from model.checkpoint import CheckpointError, directories, files, store
from model.checkpoint.manifest import ModelMetrics, Provenance
from model.config import Config
from model.elbo import elbo
from model.graph import Graphs
from model.vae import VAE, empty

Build = Callable[..., VAE]

FILES = ("config.json", "model.safetensors", "metrics.json", "README.md")
VERIFIED = FILES[:3]
PROVENANCE = Provenance(
    created="2026-01-01T00:00:00+00:00",
    libraries={"torch": "2.6.0"},
    seed=1,
    dataset="tiny",
    dataset_sha256=None,
    dataset_source="made up",
    command=("python", "-m", "model.train", "--data", "a b.npy"),
)


class Save(Protocol):
    """Write a VAE as a checkpoint."""

    def __call__(
        self,
        directory: str | Path,
        vae: VAE,
        *,
        attachments: dict[str, bytes] | None = None,
    ) -> None: ...


@pytest.fixture(scope="module")
def save() -> Save:
    """Return a writer of checkpoints that differ in nothing but their VAE."""

    def write(
        directory: str | Path, vae: VAE, *, attachments: dict[str, bytes] | None = None
    ) -> None:
        checkpoint.save(
            directory,
            vae=vae,
            provenance=PROVENANCE,
            metrics=ModelMetrics(figures=()),
            card="# Tiny\n",
            attachments=attachments,
        )

    return write


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, save: Save, build: Build) -> Path:
    """Return a sound checkpoint."""
    path = tmp_path_factory.mktemp("sound") / "tiny"
    save(path, build(likelihood="gaussian", standardized=True).float())
    return path


@pytest.fixture
def directory(tmp_path: Path, sound: Path) -> Path:
    """Return a copy of it that a test may damage, alone in a directory."""
    return shutil.copytree(sound, tmp_path / "checkpoints" / "tiny")


def bits(vae: VAE) -> dict[str, bytes]:
    """Return the bytes of every tensor of a VAE."""
    return {
        name: tensor.detach().contiguous().numpy().tobytes()
        for name, tensor in vae.state_dict().items()
    }


def sign(directory: Path, name: str, content: bytes) -> None:
    """Replace a file, and its hash and size in the manifest, as a forger would."""
    (directory / name).write_bytes(content)
    edit(
        directory,
        lambda manifest: manifest["files"].update(
            {
                name: {
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "size": len(content),
                }
            }
        ),
    )


def edit(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest in place."""
    path = directory / "manifest.json"
    manifest = json.loads(path.read_bytes())
    change(manifest)
    path.write_text(json.dumps(manifest))


def sign_weights(
    directory: Path, change: Callable[[dict[str, Tensor]], object]
) -> None:
    """Change tensors of the weights and sign them."""
    weights = load_tensors((directory / "model.safetensors").read_bytes())
    change(weights)
    sign(directory, "model.safetensors", save_tensors(weights))


def refusal(directory: Path) -> str:
    """Return why a checkpoint is refused."""
    with pytest.raises(CheckpointError) as refused:
        checkpoint.load(directory)
    return str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"likelihood": "bernoulli", "hidden": ()},
        {"likelihood": "continuous_bernoulli", "activation": "relu"},
        {"likelihood": "gaussian", "standardized": True},
        {"likelihood": "bernoulli", "data_shape": (5, 6, 3), "channels": (4, 2)},
    ],
    ids=["linear", "continuous", "gaussian", "conv"],
)
def test_a_checkpoint_is_read_back_to_the_bit(
    tmp_path: Path, save: Save, build: Build, changes: dict[str, object]
) -> None:
    """Weights, buffers, configuration and what they compute are those written."""
    vae = build(**changes).float()
    with torch.no_grad():
        # Kept are negative zero, the least subnormal and the greatest number too.
        vae.phi[0].view(-1)[:3] = torch.tensor([-0.0, 1e-45, 3.4028234663852886e38])
        vae.phi[0].view(-1)[3:] = 0.1
    save(tmp_path / "tiny", vae)

    loaded = checkpoint.load(tmp_path / "tiny")

    assert loaded.config == vae.config
    assert bits(loaded.vae) == bits(vae)
    assert loaded.manifest.provenance == PROVENANCE
    assert loaded.metrics == ModelMetrics(figures=())
    z = torch.ones(2, 3)
    assert torch.equal(loaded.vae.decode(z).mean, vae.decode(z).mean)


def test_a_path_may_be_a_text(directory: Path, tmp_path: Path, save: Save) -> None:
    """Callers need not know of pathlib."""
    loaded = checkpoint.load(str(directory))
    save(str(tmp_path / "again"), loaded.vae)
    assert checkpoint.verify(str(directory)) == loaded.sha256
    assert checkpoint.identity(str(directory)) == loaded.sha256
    assert (tmp_path / "again" / "config.json").is_file()


def test_a_loaded_model_is_for_inference(directory: Path) -> None:
    """It is on the CPU, in evaluation mode, and its ELBO needs no gradient."""
    vae = checkpoint.load(directory).vae

    bound = elbo(vae, torch.ones(1, 6), eps=torch.zeros(1, 1, 3)).bound

    assert bound.isfinite().all()
    assert not bound.requires_grad
    assert not any(module.training for module in vae.modules())
    assert {t.device.type for t in vae.state_dict().values()} == {"cpu"}


def test_weights_of_any_layout_are_written(
    tmp_path: Path, save: Save, build: Build
) -> None:
    """A transposed weight matrix is saved by its values, not by its memory."""
    vae = build(hidden=(5,)).float()
    wanted = bits(vae)
    layer = vae.decoder.get_submodule("torso.0")
    assert isinstance(layer.weight, Tensor)
    layer.weight = torch.nn.Parameter(layer.weight.detach().T.contiguous().T)

    save(tmp_path / "tiny", vae)

    assert bits(checkpoint.load(tmp_path / "tiny").vae) == wanted


def test_a_checkpoint_has_its_files_and_no_others(directory: Path) -> None:
    """The manifest lists every other file with its hash and size."""
    listed = checkpoint.load(directory).manifest.files

    assert {path.name for path in directory.iterdir()} == {*FILES, "manifest.json"}
    assert {name: (entry.sha256, entry.size) for name, entry in listed.items()} == {
        name: (
            hashlib.sha256((directory / name).read_bytes()).hexdigest(),
            (directory / name).stat().st_size,
        )
        for name in FILES
    }


def test_attachments_are_listed_too(tmp_path: Path, save: Save, build: Build) -> None:
    """A picture lies beside the card, and its hash is in the manifest."""
    save(tmp_path / "tiny", build().float(), attachments={"samples.png": b"png"})

    entry = checkpoint.load(tmp_path / "tiny").manifest.files["samples.png"]

    assert (tmp_path / "tiny" / "samples.png").read_bytes() == b"png"
    assert (entry.sha256, entry.size) == (hashlib.sha256(b"png").hexdigest(), 3)


def test_other_users_may_read_it(directory: Path) -> None:
    """A server that runs as its own user can open what training has written."""
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()
    }

    assert stat.S_IMODE(directory.stat().st_mode) == 0o755
    umask = os.umask(0o022)
    os.umask(umask)
    assert set(modes.values()) == {0o666 & ~umask}


def test_the_hash_names_the_weights(
    tmp_path: Path, directory: Path, save: Save, build: Build
) -> None:
    """It is that of the manifest: one for one model, another for any other."""
    changes = {"likelihood": "gaussian", "standardized": True}
    vae = build(**changes).float()
    save(tmp_path / "same", vae)
    with torch.no_grad():
        last = vae.theta[-1]
        last[0] = torch.nextafter(last[0], last[0] + 1)
    save(tmp_path / "other", vae)

    first, same, other = (
        checkpoint.load(path).sha256
        for path in (directory, tmp_path / "same", tmp_path / "other")
    )

    manifest = (directory / "manifest.json").read_bytes()
    assert first == same == hashlib.sha256(manifest).hexdigest()
    assert first != other


def test_saving_again_replaces_the_old_one(
    directory: Path, save: Save, build: Build
) -> None:
    """The new checkpoint stands alone under the name; the old one's files are gone."""
    (directory / "old.png").write_bytes(b"old")
    vae = build(seed=1).float()

    save(directory, vae)

    assert bits(checkpoint.load(directory).vae) == bits(vae)
    assert [path.name for path in directory.parent.iterdir()] == ["tiny"]
    assert not (directory / "old.png").exists()


def test_saving_through_a_link_replaces_what_it_points_to(
    directory: Path, save: Save, build: Build
) -> None:
    """A link named as the target stays a link."""
    link = directory.with_name("latest")
    link.symlink_to(directory.name)
    vae = build(seed=1).float()

    save(link, vae)

    assert link.is_symlink()
    assert bits(checkpoint.load(directory).vae) == bits(vae)


def test_a_failed_write_leaves_the_old_one_alone(
    directory: Path, save: Save, build: Build
) -> None:
    """When the disk refuses a file, the old checkpoint stands and nothing else does."""
    before = checkpoint.load(directory).sha256
    unwritable = {"x" * 300: b"a name longer than any file system takes"}

    with pytest.raises(OSError, match="File name too long"):
        save(directory, build(seed=1).float(), attachments=unwritable)

    assert checkpoint.load(directory).sha256 == before
    assert [path.name for path in directory.parent.iterdir()] == ["tiny"]


def test_a_failed_first_write_leaves_nothing(
    tmp_path: Path, save: Save, build: Build
) -> None:
    """When the disk refuses a file, no half of a checkpoint is left."""
    with pytest.raises(OSError, match="File name too long"):
        save(tmp_path / "tiny", build().float(), attachments={"x" * 300: b""})

    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_replaced_by_a_checkpoint(
    tmp_path: Path, save: Save, build: Build
) -> None:
    """Saving under the name of a file is refused, and the file stays as it is."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"mine")

    with pytest.raises(NotADirectoryError, match=r"notes\.txt: expected a directory"):
        save(path, build().float())

    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    """The error says which directory was looked for."""
    path = tmp_path / "nowhere"

    assert refusal(path) == f"no checkpoint at {path}: no such directory"


def test_what_is_no_checkpoint_is_said_with_those_that_lie_in_it(
    directory: Path,
) -> None:
    """A file, a folder of other things, and the folder above a checkpoint."""
    file = directory / "config.json"
    (empty := directory / "empty").mkdir()
    above = directory.parent

    assert refusal(file).endswith("config.json: expected a directory, got a file")
    assert refusal(empty) == f"{empty} is not a checkpoint: it has no manifest.json"
    assert refusal(above) == (
        f"{above} is not a checkpoint: it has no manifest.json; "
        f"did you mean {directory}?"
    )


@pytest.mark.parametrize("name", VERIFIED)
def test_a_missing_file_is_named(directory: Path, name: str) -> None:
    """Without any one file that it needs the checkpoint is refused."""
    (directory / name).unlink()

    reason = refusal(directory)

    assert reason == f"{directory / name}: cannot be read: No such file or directory"


@pytest.mark.parametrize("name", VERIFIED)
@pytest.mark.parametrize("position", [0, 40, -1])
def test_a_changed_bit_is_seen(directory: Path, name: str, position: int) -> None:
    """One bit anywhere gives another hash; both are named."""
    content = bytearray((directory / name).read_bytes())
    wanted = hashlib.sha256(content).hexdigest()
    content[position % len(content)] ^= 1
    (directory / name).write_bytes(content)

    reason = refusal(directory)

    came = hashlib.sha256(content).hexdigest()
    assert reason == f"{directory / name}: expected sha256 {wanted}, got {came}"


@pytest.mark.parametrize("name", VERIFIED)
@pytest.mark.parametrize("n", [0, -1, 1])
def test_a_file_of_another_size_is_seen(directory: Path, name: str, n: int) -> None:
    """Empty, truncated and longer files are refused, with both sizes."""
    content = (directory / name).read_bytes()
    size = 0 if n == 0 else len(content) + n
    (directory / name).write_bytes((content + b"\0")[:size])

    reason = refusal(directory)

    wanted = f"expected {len(content)} bytes, got {size}"
    assert reason == f"{directory / name}: {wanted}"


@pytest.mark.parametrize("name", VERIFIED)
def test_a_file_that_is_not_listed_is_not_read(directory: Path, name: str) -> None:
    """A file without a hash in the manifest is as good as missing."""
    edit(directory, lambda manifest: manifest["files"].pop(name))

    reason = refusal(directory)

    assert reason == f"{directory / 'manifest.json'}: does not list {name}"


@pytest.mark.parametrize(
    ("missing", "unknown"),
    [
        (["decoder.mu.bias"], []),
        ([], ["decoder.extra"]),
        (["standardization.scale"], ["decoder.extra", "extra"]),
    ],
)
def test_missing_and_unknown_keys_are_named(
    directory: Path, missing: list[str], unknown: list[str]
) -> None:
    """The weights' names are exactly those of the configuration."""

    def rename(weights: dict[str, Tensor]) -> None:
        for name in missing:
            del weights[name]
        weights.update({name: torch.zeros(1) for name in unknown})

    sign_weights(directory, rename)

    reason = refusal(directory)

    assert reason.startswith(f"{directory / 'model.safetensors'}: ")
    assert reason.endswith(f"got {missing} missing and {unknown} unknown")


@pytest.mark.parametrize(
    ("change", "came"),
    [
        (lambda t: t.T.contiguous(), "torch.float32 [4, 3]"),
        (lambda t: t.flatten(), "torch.float32 [12]"),
        (lambda t: t.double(), "torch.float64 [3, 4]"),
        (lambda t: t.half(), "torch.float16 [3, 4]"),
        (lambda t: t.int(), "torch.int32 [3, 4]"),
    ],
    ids=["transposed", "flat", "float64", "float16", "int32"],
)
def test_another_shape_or_dtype_is_named(
    directory: Path, change: Callable[[Tensor], Tensor], came: str
) -> None:
    """A tensor is of the shape and dtype of the configuration, with no conversion."""
    name = "encoder.mu.weight"
    sign_weights(directory, lambda w: w.update({name: change(w[name])}))

    reason = refusal(directory)

    wanted = f"{name}: expected torch.float32 [3, 4], got {came}"
    assert reason == f"{directory / 'model.safetensors'}: {wanted}"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("encoder.mu.weight", (1, 2)),
        ("decoder.mu.bias", (3,)),
        ("standardization.scale", (0,)),
    ],
)
def test_a_value_that_is_not_finite_is_named(
    directory: Path, name: str, index: tuple[int, ...], value: float
) -> None:
    """NaN and infinity are refused by tensor and index, in buffers too."""

    def damage(weights: dict[str, Tensor]) -> None:
        weights[name][index] = value

    sign_weights(directory, damage)

    reason = refusal(directory)

    wanted = f"{name}: expected finite values, got {value} at {list(index)}"
    assert reason == f"{directory / 'model.safetensors'}: {wanted}"


@pytest.mark.parametrize("value", [0.0, -2.0])
def test_a_scale_that_is_not_positive_is_named(directory: Path, value: float) -> None:
    """A standardization that cannot be undone is refused by tensor and index."""
    name = "standardization.scale"

    def damage(weights: dict[str, Tensor]) -> None:
        weights[name][1] = value

    sign_weights(directory, damage)

    wanted = f"{name}: expected positive values, got {value} at [1]"
    assert wanted in refusal(directory)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 64,
        b"PK\x03\x04 a zip file, as torch.save writes it",
        b'\x26\0\0\0\0\0\0\0{"x":{"dtype":"F4","shape":[2],"data_o',
        (77).to_bytes(8, "little")
        + b'{"x":{"dtype":"F8_E8M0","shape":[2],"data_offsets":[0,2]}}'.ljust(77)
        + b"\0\0",
    ],
    ids=["empty", "noise", "zip", "truncated", "dtype"],
)
def test_weights_that_are_no_safetensors_are_refused(
    directory: Path, content: bytes
) -> None:
    """Whatever the file holds, the error names it."""
    sign(directory, "model.safetensors", content)

    reason = refusal(directory)

    assert reason.startswith(
        f"{directory / 'model.safetensors'}: not a safetensors file: "
    )


class Trap:
    """An object whose unpickling leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("name", VERIFIED)
def test_a_pickle_is_not_opened(tmp_path: Path, directory: Path, name: str) -> None:
    """A signed pickle in place of any file is refused and never run."""
    trace = tmp_path / "trace"
    sign(directory, name, pickle.dumps(Trap(trace)))

    reason = refusal(directory)

    assert str(directory / name) in reason
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format_version": 1e999}',
    ],
    ids=["empty", "open", "list", "null", "no keys", "bytes", "deep", "infinity"],
)
@pytest.mark.parametrize("name", ["manifest.json", "config.json", "metrics.json"])
def test_a_document_that_is_no_such_document_is_refused(
    directory: Path, name: str, content: bytes
) -> None:
    """Broken JSON and JSON of another shape are errors that name the file."""
    if name == "manifest.json":
        (directory / name).write_bytes(content)
    else:
        sign(directory, name, content)

    reason = refusal(directory)

    assert reason.startswith(f"{directory / name}: ")
    assert len(reason) < 500 + len(str(directory))


def test_a_manifest_beyond_reason_is_not_read(directory: Path) -> None:
    """A manifest of more than 16 MiB is refused by its size."""
    path = directory / "manifest.json"
    with path.open("r+b") as file:
        file.truncate(1 << 30)

    assert refusal(directory) == (
        f"{path}: cannot be read: expected at most 16777216 bytes, got 1073741824"
    )


@pytest.mark.parametrize("name", ["manifest.json", "config.json"])
def test_another_format_version_is_refused(directory: Path, name: str) -> None:
    """The version stands in the manifest and in the configuration, and both count."""
    content = json.loads((directory / name).read_bytes()) | {"format_version": 3}
    if name == "config.json":
        sign(directory, name, json.dumps(content).encode())
    else:
        (directory / name).write_text(json.dumps(content))

    reason = refusal(directory)

    assert reason == f"{directory / name}: format_version: expected 1 or 2, got 3"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"beta": 4}, "beta"),
        ({"latent_dim": "3"}, "latent_dim"),
        ({"data_shape": [6, 0]}, "data_shape.1"),
        ({"encoder": {"kind": "mlp", "hidden": [1], "activation": "sin"}}, "encoder"),
    ],
)
def test_a_configuration_with_a_fault_is_refused(
    directory: Path, change: dict[str, object], where: str
) -> None:
    """Unknown keys and values of another type are named with their place."""
    config = json.loads((directory / "config.json").read_bytes())
    sign(directory, "config.json", json.dumps(config | change).encode())

    reason = refusal(directory)

    assert reason.startswith(f"{directory / 'config.json'}: {where}")


def test_weights_of_another_configuration_are_refused(directory: Path) -> None:
    """The shapes are those of `config.json`, not those that happen to come."""
    config = json.loads((directory / "config.json").read_bytes())
    sign(directory, "config.json", json.dumps(config | {"latent_dim": 2}).encode())

    reason = refusal(directory)

    assert ": expected torch.float32 [" in reason
    assert "], got torch.float32 [" in reason


@pytest.mark.parametrize(
    "name", ["../outside", "/dev/null", "", ".", "..", "a/b", "a\0b", "manifest.json"]
)
def test_no_path_leads_out_of_the_directory(directory: Path, name: str) -> None:
    """A manifest cannot name a file elsewhere, nor itself."""
    entry = {"sha256": "0" * 64, "size": 0}
    edit(directory, lambda m: m["files"].update({name: entry}))

    assert refusal(directory) == (
        f"{directory / 'manifest.json'}: files: expected names of files, got {name!r}"
    )


def test_a_manifest_lists_64_files_at_most(directory: Path) -> None:
    """So that no manifest uses up the descriptors of a process."""
    entry = {"sha256": "0" * 64, "size": 0}
    many = {f"{i}": entry for i in range(61)}
    edit(directory, lambda m: m["files"].update(many))

    reason = refusal(directory)

    assert reason.endswith("manifest.json: files: expected at most 64 files, got 65")


def test_names_that_could_not_be_read_are_not_written(
    tmp_path: Path, save: Save, build: Build
) -> None:
    """The writer has the limits of the reader."""
    with pytest.raises(
        ValueError, match=r"expected names of files, got '\.\./outside'"
    ):
        save(tmp_path / "tiny", build().float(), attachments={"../outside": b""})

    assert list(tmp_path.iterdir()) == []


def make_fifo(path: Path) -> None:
    """Put a pipe without a writer there."""
    path.unlink()
    os.mkfifo(path)


def make_directory(path: Path) -> None:
    """Put a directory there."""
    path.unlink()
    path.mkdir()


def link_to(target: str) -> Callable[[Path], None]:
    """Return what puts a symbolic link there."""

    def link(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return link


@pytest.mark.parametrize("name", ["manifest.json", *FILES])
@pytest.mark.parametrize(
    ("replace", "why"),
    [
        (make_fifo, "not a regular file"),
        (make_directory, "not a regular file"),
        (link_to("/dev/zero"), "not a regular file"),
        (link_to("nowhere"), "No such file or directory"),
    ],
    ids=["fifo", "directory", "device", "dangling link"],
)
def test_only_regular_files_are_read(
    directory: Path, name: str, replace: Callable[[Path], None], why: str
) -> None:
    """A pipe, a device and the like are refused by name, without waiting."""
    path = directory / name
    replace(path)

    for read in (checkpoint.load, checkpoint.verify):
        with pytest.raises(CheckpointError) as refused:
            read(directory)

        assert str(refused.value) == f"{path}: cannot be read: {why}"


def test_links_to_files_are_followed(directory: Path) -> None:
    """As caches of model hubs and mounted volumes have them."""
    wanted = checkpoint.load(directory).sha256
    for path in list(directory.iterdir()):
        path.rename(directory.parent / path.name)
        path.symlink_to(Path("..") / path.name)

    assert checkpoint.load(directory).sha256 == wanted


@pytest.mark.parametrize("name", ["README.md", "samples.png", "metrics.jsonl"])
@pytest.mark.parametrize("harm", ["changed", "longer", "missing"])
def test_every_listed_file_is_verified(
    tmp_path: Path, save: Save, build: Build, name: str, harm: str
) -> None:
    """Card, pictures and journal too, though nothing is computed from them."""
    path = tmp_path / "tiny"
    attachments = {"samples.png": b"png" * 400_000, "metrics.jsonl": b"{}\n"}
    save(path, build().float(), attachments=attachments)
    sound = checkpoint.load(path).sha256
    assert checkpoint.verify(path) == sound == checkpoint.identity(path)
    content = bytearray((path / name).read_bytes())
    content[-1] ^= 1
    if harm == "missing":
        (path / name).unlink()
    else:
        (path / name).write_bytes(content + b"." * (harm == "longer"))
    words = {
        "changed": "expected sha256",
        "longer": f"expected {len(content)} bytes, got {len(content) + 1}",
        "missing": "cannot be read: No such file or directory",
    }

    for read in (checkpoint.load, checkpoint.verify):
        with pytest.raises(CheckpointError) as refused:
            read(path)

        assert str(refused.value).startswith(f"{path / name}: {words[harm]}")
    assert checkpoint.identity(path) == sound


def test_weights_larger_than_the_configuration_are_not_read(directory: Path) -> None:
    """A manifest that lists a terabyte of weights costs no memory."""
    path = directory / "model.safetensors"
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    entry = {"sha256": "0" * 64, "size": 1 << 40}
    edit(directory, lambda m: m["files"].update({path.name: entry}))

    reason = refusal(directory)

    n_bytes = sum(t.nbytes for t in load_tensors_of(directory)) + (16 << 20)
    assert reason == f"{path}: expected at most {n_bytes} bytes, got {1 << 40}"


def load_tensors_of(directory: Path) -> list[Tensor]:
    """Return tensors of the shapes of a configuration."""
    config = Config.model_validate_json((directory / "config.json").read_bytes())
    return list(empty(config).state_dict().values())


@pytest.mark.parametrize("name", ["README.md", "calibration.safetensors"])
def test_other_files_beyond_reason_are_not_read(directory: Path, name: str) -> None:
    """Each kind of file has a limit, whatever the manifest says."""
    path = directory / name
    with path.open("a+b") as file:
        file.truncate(1 << 40)
    entry = {"sha256": "0" * 64, "size": 1 << 40}
    edit(directory, lambda m: m["files"].update({name: entry}))

    assert f"{path}: expected at most " in refusal(directory)


def test_a_reader_keeps_the_checkpoint_that_it_has_opened(
    directory: Path, save: Save, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replaced and removed while it is read, it is still read to its end."""
    wanted = bits(checkpoint.load(directory).vae)
    other = build(seed=1).float()

    def replaced_meanwhile(config: Config, graphs: Graphs | None) -> VAE:
        monkeypatch.undo()
        save(directory, other)
        return empty(config, graphs)

    monkeypatch.setattr(store, "empty", replaced_meanwhile)

    assert bits(checkpoint.load(directory).vae) == wanted
    assert bits(checkpoint.load(directory).vae) == bits(other)


def test_a_reader_that_opened_too_few_files_reads_the_new_one(
    directory: Path, save: Save, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replaced between its manifest and its first file, the old one is let go."""
    other = build(seed=1).float()

    def replaced_meanwhile(names: object) -> None:
        monkeypatch.undo()
        save(directory, other)

    monkeypatch.setattr(files, "check_names", replaced_meanwhile)

    assert bits(checkpoint.load(directory).vae) == bits(other)


@pytest.mark.slow("writes many checkpoints")
@pytest.mark.parametrize("way", ["exchange", "steps"])
def test_readers_and_writers_at_once_see_whole_checkpoints(
    directory: Path,
    save: Save,
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    """Two writers never keep two readers from a whole checkpoint."""
    if way == "steps":
        monkeypatch.setattr(directories, "_try_exchange", lambda *_: False)
    models = [build(seed=seed).float() for seed in (1, 2)]
    save(directory, models[0])
    wanted = [bits(vae) for vae in models]
    is_over = threading.Event()

    def write(vae: VAE) -> None:
        for _ in range(50):
            save(directory, vae)

    def read() -> int:
        n_read = 0
        while not is_over.is_set():
            assert bits(checkpoint.load(directory).vae) in wanted
            n_read += 1
        return n_read

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for writer in [pool.submit(write, vae) for vae in models]:
                writer.result()
        finally:
            is_over.set()

    assert all(reader.result() for reader in readers)
    assert [path.name for path in directory.parent.iterdir()] == ["tiny"]
