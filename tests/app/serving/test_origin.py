"""A service takes its checkpoint from a URL, and follows it."""

import logging
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.server.checkpoint_copy import with_checkpoint_here
from app.serving.origin import RemoteWatch
from app.settings import Settings
from model import checkpoint
from model.remote.copies import local_checkpoint
from model.remote.location import RemoteLocation
from tests import plain_http
from tests.app.damages import flip_a_bit
from tests.app.processes import (
    PYTHON_APP,
    SECONDS,
    UVICORN,
    failed_start,
    process,
    start,
    until,
)
from tests.model.remote.stores import Web, web
from tests.tiny import save_tiny, tiny_config, tiny_vae


def write(directory: Path, *, seed: int) -> str:
    """Write a checkpoint with weights of a seed; return its version."""
    config = tiny_config("bernoulli", data_shape=(4,))
    save_tiny(directory, tiny_vae(config, seed=seed))
    return checkpoint.identity(directory)[:12]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Return a checkpoint as it is stored elsewhere."""
    write(tmp_path / "stored" / "tiny", seed=1)
    return tmp_path / "stored" / "tiny"


@pytest.fixture
def server(stored: Path) -> Iterator[Web]:
    """Store it behind a web server."""
    with web(stored.parent) as server:
        yield server


def version(address: str) -> str:
    """Return the version of what is served."""
    found: str = plain_http.get(f"{address}/livez", timeout=SECONDS).headers[
        "x-model-version"
    ]
    return found


def settings(server: Web, tmp_path: Path, **others: str) -> dict[str, str]:
    """Return the variables of a service with a checkpoint from a server."""
    return {
        "VAE_CHECKPOINT": f"{server.url}/tiny?sig=secret",
        "VAE_CHECKPOINT_CACHE": str(tmp_path / "cache"),
        **others,
    }


@pytest.mark.slow("starts processes")
@pytest.mark.parametrize("n_workers", ["1", "2"])
def test_a_service_starts_from_a_url_follows_it_and_starts_without_it(
    server: Web, stored: Path, tmp_path: Path, n_workers: str
) -> None:
    """SIGHUP fetches again; an outage stops neither a running service nor a start."""
    given = settings(server, tmp_path, VAE_WORKERS=n_workers)
    first = checkpoint.identity(stored)[:12]

    with process(given) as (address, running):
        card = plain_http.get(f"{address}/model", timeout=SECONDS).json()
        assert (card["name"], card["version"]) == ("tiny", first)
        second = write(stored, seed=2)
        running.send_signal(signal.SIGHUP)
        for _ in range(20):  # each worker
            until(lambda: version(address) == second)
        server.stop()
        running.send_signal(signal.SIGHUP)
        assert version(address) == second
    with process(given, stderr=subprocess.PIPE) as (address, running):
        assert version(address) == second
        assert running.stderr is not None
        running.send_signal(signal.SIGTERM)
        words = running.stderr.read()

    assert "the copy of it here is used" in words
    assert "secret" not in words


@pytest.mark.slow("starts processes")
def test_a_service_looks_at_the_url_at_intervals(
    server: Web, stored: Path, tmp_path: Path
) -> None:
    """With VAE_WATCH_SECONDS; also past an outage and an upload that is not whole."""
    given = settings(server, tmp_path, VAE_WATCH_SECONDS="0.05")
    with process(given) as (address, _):
        server.status = 503
        asked = len(server.asked)
        until(lambda: len(server.asked) > asked)
        server.status = 0
        whole = stored.with_name("whole")
        second = write(whole, seed=2)
        (stored / "manifest.json").write_bytes((whole / "manifest.json").read_bytes())
        asked = server.asked.count("/tiny/config.json?sig=secret")
        until(lambda: server.asked.count("/tiny/config.json?sig=secret") > asked)
        shutil.copytree(whole, stored, dirs_exist_ok=True)

        until(lambda: version(address) == second)


@pytest.mark.slow("starts processes")
@pytest.mark.parametrize("command", [PYTHON_APP, UVICORN])
def test_a_start_without_a_good_checkpoint_is_an_error(
    server: Web, stored: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Of one line, with status 3, and without the password of the URL."""
    flip_a_bit(stored)

    ended = failed_start(settings(server, tmp_path), command)

    lines = ended.stderr.splitlines()
    [line] = [line for line in lines if line.startswith("error: ")]
    assert ended.returncode == 3
    assert "/tiny?.../model.safetensors: expected sha256" in line
    assert "secret" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow("starts a process")
def test_a_service_that_waits_for_a_copy_can_be_stopped(
    server: Web, tmp_path: Path
) -> None:
    """It answers meanwhile, and its end does not wait for the source."""
    with process(settings(server, tmp_path)) as (address, running):
        served, n_asked = version(address), len(server.asked)
        server.gate.clear()
        running.send_signal(signal.SIGHUP)
        until(lambda: len(server.asked) > n_asked)
        assert version(address) == served

    assert running.returncode == 0
    assert not server.gate.is_set()


@pytest.mark.slow("starts processes")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_start_that_waits_for_a_copy_ends_at_a_stop_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    """With status 0 and without a word; SIGHUP does not end it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(SECONDS)
        variables = {
            "VAE_CHECKPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}/tiny",
            "VAE_CHECKPOINT_CACHE": str(tmp_path / "cache"),
        }
        with start(variables, stdout=None, stderr=subprocess.PIPE) as running:
            connection, _ = silent.accept()
            running.send_signal(signal.SIGHUP)
            running.send_signal(number)
            _, words = running.communicate(timeout=SECONDS)
        connection.close()

    assert running.returncode == 0
    assert words == ""


def test_limits_know_the_size_of_weights_that_came_from_a_url(
    server: Web, tmp_path: Path
) -> None:
    """They are chosen after the copy; those that are set stay."""
    given = Settings.from_environment(settings(server, tmp_path, VAE_MAX_ROWS="7"))

    fitted = with_checkpoint_here(given)

    assert fitted.max_rows == 7
    assert fitted.checkpoint_directory.is_dir()
    assert fitted.checkpoint == given.checkpoint


def test_a_watch_tells_of_each_checkpoint_once(
    server: Web, stored: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of one that was not copied again and again, and of an outage once."""
    where = RemoteLocation.parse(f"{server.url}/tiny")
    directory = local_checkpoint(where, tmp_path)
    watch = RemoteWatch(where, directory)

    found = [watch.has_changed() for _ in range(3)]
    write(stored, seed=2)
    found += [watch.has_changed() for _ in range(2)]
    local_checkpoint(where, tmp_path)
    found += [watch.has_changed()]
    server.status = 500
    with caplog.at_level(logging.WARNING):
        found += [watch.has_changed() for _ in range(3)]

    assert found == [True, False, False, True, True, False, False, False, False]
    assert len(caplog.records) == 1


def test_a_pinned_checkpoint_is_not_looked_for(server: Web, tmp_path: Path) -> None:
    """There can be no other."""
    url = f"{server.url}/tiny"
    sha256 = checkpoint.identity(local_checkpoint(url, tmp_path))
    where = RemoteLocation(url, sha256)
    server.asked.clear()

    assert not RemoteWatch(where, where.copy_in(tmp_path)).has_changed()
    assert server.asked == []
