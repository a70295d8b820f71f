"""A checkpoint behind a URL is copied whole and verified, or not at all."""

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from model import checkpoint
from model.checkpoint import CheckpointError
from model.remote import copies
from model.remote.copies import local_checkpoint, remote_identity, update
from model.remote.location import RemoteLocation
from tests.app.damages import flip_a_bit, rewrite, truncate
from tests.model.remote.stores import Web, remove, upload, web
from tests.tiny import save_tiny, tiny_config, tiny_vae

URL = "memory://store/tiny"


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Return a checkpoint as it is stored elsewhere."""
    config = tiny_config("bernoulli", data_shape=(4,))
    return save_tiny(tmp_path / "stored" / "tiny", tiny_vae(config))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Return a folder for copies, which is not there yet."""
    return tmp_path / "cache" / "checkpoints"


@pytest.fixture
def memory(stored: Path) -> Iterator[Path]:
    """Store it in fsspec's memory."""
    upload(stored, URL)
    yield stored
    MemoryFileSystem.store.clear()


@pytest.fixture
def server(stored: Path) -> Iterator[Web]:
    """Store it behind a web server."""
    with web(stored.parent) as server:
        yield server


def files(directory: Path) -> dict[str, bytes]:
    """Return what a directory contains."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def pinned(url: str, sha256: str) -> str:
    """Return a URL with a pin."""
    return f"{url}#sha256={sha256}"


def copied(cache: Path) -> list[str]:
    """Return what is in the cache besides locks."""
    found = cache.iterdir() if cache.is_dir() else ()
    return [path.name for path in found if not path.name.endswith(".lock")]


def test_a_directory_is_used_where_it_is(stored: Path) -> None:
    """Given as a path or as text."""
    assert local_checkpoint(stored) == stored
    assert local_checkpoint(str(stored)) == stored


def test_a_copy_has_the_files_of_the_manifest(memory: Path, cache: Path) -> None:
    """The same bytes, and nothing that the manifest does not list."""
    fsspec.filesystem("memory").pipe_file(f"{URL}/other.bin", b"not listed")

    directory = local_checkpoint(URL, cache)

    assert files(directory) == files(memory)
    assert checkpoint.load(directory).sha256 == checkpoint.identity(memory)
    assert copied(cache) == [directory.name]


@pytest.mark.parametrize("query", ["", "?sig=a%2Fb&x=1"])
def test_a_checkpoint_comes_over_http(server: Web, cache: Path, query: str) -> None:
    """From a server without ranges; the query goes with every request."""
    directory = local_checkpoint(f"{server.url}/tiny{query}", cache)

    names = {path.name for path in directory.iterdir()}
    assert checkpoint.verify(directory)
    assert set(server.asked) == {f"/tiny/{name}{query}" for name in names}


def test_what_is_here_is_not_downloaded_again(server: Web, cache: Path) -> None:
    """Only the manifest is asked for."""
    local_checkpoint(f"{server.url}/tiny", cache)
    server.asked.clear()

    local_checkpoint(f"{server.url}/tiny", cache)

    assert server.asked == ["/tiny/manifest.json"]


def test_a_copy_follows_its_source(memory: Path, cache: Path) -> None:
    """A new checkpoint replaces the copy, in the same place."""
    directory = local_checkpoint(URL, cache)
    before = checkpoint.identity(directory)
    rewrite(memory, "README.md", b"# newer\n")
    upload(memory, URL)

    again = update(RemoteLocation.parse(URL), cache)

    assert again == directory
    assert checkpoint.verify(directory) == checkpoint.identity(memory) != before
    assert copied(cache) == [directory.name]


def test_where_there_are_no_locks_a_copy_is_made_without(
    memory: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a checkpoint is written there: some network file systems have none."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)

    assert files(local_checkpoint(URL, cache)) == files(memory)


def test_a_damaged_copy_is_made_again(memory: Path, cache: Path) -> None:
    """Although its manifest is that of the source."""
    flip_a_bit(local_checkpoint(URL, cache))

    assert files(local_checkpoint(URL, cache)) == files(memory)


def test_a_pinned_copy_needs_no_source(memory: Path, cache: Path) -> None:
    """Once it is here."""
    url = pinned(URL, checkpoint.identity(memory))
    directory = local_checkpoint(url, cache)
    remove(URL)

    assert local_checkpoint(url, cache) == directory


def test_another_checkpoint_than_the_pinned_one_is_refused(
    memory: Path, cache: Path
) -> None:
    """Before anything of it is downloaded."""
    sha256 = checkpoint.identity(memory)

    with pytest.raises(
        CheckpointError, match=f"expected sha256 {'0' * 64}, got {sha256}"
    ):
        local_checkpoint(pinned(URL, "0" * 64), cache)

    assert copied(cache) == []


def test_the_last_copy_is_used_while_the_source_is_away(
    server: Web, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a warning that says why; an update says it as an error."""
    url = f"{server.url}/tiny?sig=secret"
    directory = local_checkpoint(url, cache)
    server.stop()

    assert local_checkpoint(url, cache) == directory

    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "cannot be reached" in record.getMessage()
    assert "the copy of it here is used" in record.getMessage()
    assert "secret" not in caplog.text
    with pytest.raises(CheckpointError, match="cannot be reached"):
        update(RemoteLocation.parse(url), cache)


def test_without_a_copy_a_source_that_is_away_is_an_error(
    server: Web, cache: Path
) -> None:
    """It says both."""
    server.stop()

    with pytest.raises(CheckpointError, match=r"cannot be reached.*there is no copy"):
        local_checkpoint(f"{server.url}/tiny", cache)


def test_a_damaged_copy_is_not_used_in_its_place(server: Web, cache: Path) -> None:
    """Nothing that was not verified is served."""
    truncate(local_checkpoint(f"{server.url}/tiny", cache))
    server.stop()

    with pytest.raises(CheckpointError, match="there is no copy of it here"):
        local_checkpoint(f"{server.url}/tiny", cache)


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "not found"), (403, "may not be read"), (401, "may not be read")],
)
def test_a_refusal_is_final(server: Web, cache: Path, status: int, words: str) -> None:
    """A checkpoint that was removed or closed is not served from its copy."""
    local_checkpoint(f"{server.url}/tiny", cache)
    server.status = status

    with pytest.raises(CheckpointError, match=rf"/tiny/manifest.json: {words}"):
        local_checkpoint(f"{server.url}/tiny", cache)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_out_of_order_is_one_that_is_away(
    server: Web, cache: Path, status: int
) -> None:
    """The copy is used."""
    directory = local_checkpoint(f"{server.url}/tiny", cache)
    server.status = status

    assert local_checkpoint(f"{server.url}/tiny", cache) == directory


def lists(**entries: Any) -> Callable[[Path], None]:
    """Return what adds files to the list of a manifest."""
    return lambda directory: add(directory, entries)


def add(directory: Path, entries: dict[str, Any]) -> None:
    """Add files to the list of a manifest."""
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = {**entries, **manifest["files"]}
    path.write_text(json.dumps(manifest))


def entry(size: int) -> dict[str, Any]:
    """Return what a manifest says of a file."""
    return {"sha256": "0" * 64, "size": size}


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lists(**{"../escaped": entry(1)}), "files: expected names of files"),
        (lists(**{"/etc/escaped": entry(1)}), "files: expected names of files"),
        (lists(**{"..": entry(1)}), "files: expected names of files"),
        (lists(**{"a/b": entry(1)}), "files: expected names of files"),
        (lists(**{"a\0b": entry(1)}), "files: expected names of files"),
        (lists(**{"manifest.json": entry(1)}), "files: expected names of files"),
        (lists(**{f"f{i}": entry(1) for i in range(65)}), "expected at most 64 files"),
        (lists(big=entry((1 << 30) + 1)), "big: expected at most 1073741824 bytes"),
        (
            lists(**{f"f{i}": entry(1 << 30) for i in range(9)}),
            "tiny: expected at most 8589934592 bytes, got",
        ),
        (lists(a=entry(-1)), "files.a.size"),
        (lambda path: (path / "manifest.json").write_text("[]"), "manifest.json"),
    ],
)
def test_a_hostile_manifest_is_refused_before_anything_is_downloaded(
    server: Web,
    stored: Path,
    cache: Path,
    harm: Callable[[Path], object],
    words: str,
) -> None:
    """Names that leave the folder, too many files, sizes beyond the limits."""
    harm(stored)

    with pytest.raises(CheckpointError, match=words):
        local_checkpoint(f"{server.url}/tiny", cache)

    assert set(server.asked) == {"/tiny/manifest.json"}
    assert copied(cache) == []


def lengthen(directory: Path) -> None:
    """Add a byte to the weights."""
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"\0")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (flip_a_bit, "model.safetensors: expected sha256"),
        (truncate, r"model.safetensors: expected \d+ bytes, got \d+"),
        (lengthen, r"model.safetensors: expected \d+ bytes, got more"),
        (lambda path: (path / "config.json").unlink(), "config.json: not found"),
        (lambda path: (path / "manifest.json").unlink(), "manifest.json: not found"),
        (shutil.rmtree, "manifest.json: not found"),
    ],
)
def test_nothing_is_left_of_files_that_differ_from_the_manifest(
    server: Web, stored: Path, cache: Path, harm: Callable[[Path], object], words: str
) -> None:
    """No copy and no part of one."""
    harm(stored)

    with pytest.raises(CheckpointError, match=words):
        local_checkpoint(f"{server.url}/tiny", cache)

    assert copied(cache) == []


def test_a_bad_update_leaves_the_copy(memory: Path, cache: Path) -> None:
    """As it was."""
    directory = local_checkpoint(URL, cache)
    before = files(directory)
    rewrite(memory, "README.md", b"# newer\n")
    flip_a_bit(memory)
    upload(memory, URL)

    with pytest.raises(CheckpointError, match="expected sha256"):
        local_checkpoint(URL, cache)

    assert files(directory) == before


def test_a_manifest_without_end_is_not_read_to_its_end(
    memory: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused at the limit."""
    monkeypatch.setattr(copies, "MAX_JSON_BYTES", 100)

    with pytest.raises(CheckpointError, match="expected at most 100 bytes, got more"):
        local_checkpoint(URL, cache)


class Changing(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A store that gets a new checkpoint while an old one is read."""

    protocol = "changing"
    store: dict[str, Any] = {}  # noqa: RUF012  as its parent
    newer: Path

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        stripped: str = super()._strip_protocol(path.replace("changing", "memory"))
        return stripped

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        """Open a file; with the first one after the manifest, all are replaced."""
        is_read = mode == "rb" and not path.endswith("manifest.json")
        if is_read and self.newer.is_dir():
            for file in self.newer.iterdir():
                self.pipe_file(f"/tiny/{file.name}", file.read_bytes())
            shutil.rmtree(self.newer)
        return super().open(path, mode, **options)


def test_a_checkpoint_that_is_replaced_meanwhile_is_read_anew(
    stored: Path, cache: Path, tmp_path: Path
) -> None:
    """The files are those of one manifest, never a mixture."""
    fsspec.register_implementation("changing", Changing, clobber=True)
    newer = tmp_path / "newer"
    shutil.copytree(stored, newer)
    rewrite(newer, "README.md", b"# newer\n")
    rewrite(newer, "metrics.json", b'{"figures": []}')
    wanted = files(newer)
    for path in stored.iterdir():
        Changing().pipe_file(f"/tiny/{path.name}", path.read_bytes())
    Changing.newer = newer

    directory = local_checkpoint("changing://tiny", cache)

    assert files(directory) == wanted


def test_a_cache_that_cannot_be_written_is_named(memory: Path, tmp_path: Path) -> None:
    """With what to set."""
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(CheckpointError, match="cannot be written") as caught:
        local_checkpoint(URL, tmp_path / "file" / "cache")

    assert "VAE_CHECKPOINT_CACHE" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_cache_that_is_only_read_is_enough_for_what_is_there(
    memory: Path, cache: Path
) -> None:
    """An image may bring its copy with it."""
    directory = local_checkpoint(URL, cache)
    cache.chmod(0o555)
    try:
        assert local_checkpoint(URL, cache) == directory
    finally:
        cache.chmod(0o755)


def test_a_disk_that_is_too_small_is_said(
    memory: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the download fills it."""
    usage = shutil.disk_usage(memory)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    with pytest.raises(CheckpointError, match=r"bytes of room in .*, got 10"):
        local_checkpoint(URL, cache)


@pytest.mark.skipif(find_spec("s3fs") is not None, reason="s3fs is installed")
def test_a_missing_backend_is_named(cache: Path) -> None:
    """With the package to install."""
    with pytest.raises(CheckpointError) as caught:
        local_checkpoint("s3://bucket/tiny", cache)

    assert str(caught.value) == (
        "s3://bucket/tiny: s3:// needs a package that is not installed: "
        "pip install s3fs"
    )


def test_an_unknown_protocol_is_named(cache: Path) -> None:
    """It is no network error."""
    with pytest.raises(CheckpointError, match=r"expected a protocol .* got carrier"):
        local_checkpoint("carrier://pigeon/tiny", cache)


def test_the_identity_of_a_source_is_that_of_its_manifest(memory: Path) -> None:
    """Without a copy."""
    content = (memory / "manifest.json").read_bytes()

    found = remote_identity(RemoteLocation.parse(URL))

    assert found == hashlib.sha256(content).hexdigest() == checkpoint.identity(memory)
