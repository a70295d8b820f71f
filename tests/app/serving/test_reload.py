"""The checkpoint of a running service is swapped, or refused, and no request fails."""

import asyncio
import gc
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Never

import numpy as np
import pytest
from starlette.types import Message

from app import main
from app.compute.batcher import Queue
from app.serving import reload
from app.serving.loaded_model import LoadedModel
from app.serving.loader import Loader
from model import checkpoint
from model.checkpoint import CheckpointError
from tests import plain_http
from tests.app.damages import flip_a_bit
from tests.app.processes import process, start, start_lines, until
from tests.app.served import Served
from tests.tiny import save_golden, tiny_config, tiny_vae

SECONDS = 60
X = np.eye(16, dtype=np.float32)[:5]
BODY = {"x": X.tolist()}


def write(directory: Path, *, seed: int) -> str:
    """Write a checkpoint with weights of a seed; return its version."""
    config = tiny_config("bernoulli", data_shape=(4, 4))
    save_golden(directory, tiny_vae(config, seed=seed), X)
    return version_at(directory)


def version_at(directory: Path) -> str:
    """Return the version of the checkpoint in a directory."""
    return checkpoint.identity(directory)[:12]


def forge(directory: Path) -> None:
    """Say of an example that it scored a tenth of a nat more."""
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["golden"]["elbo"][3] += 0.1
    path.write_text(json.dumps(manifest))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a checkpoint that may be replaced."""
    write(tmp_path / "tiny", seed=1)
    return tmp_path / "tiny"


@pytest.fixture
def served(directory: Path) -> Iterator[Served]:
    """Serve it."""
    with Served(directory) as served:
        yield served


def version(served: Served) -> str:
    """Return the version of the next answer."""
    found: str = served.get("/livez").headers["x-model-version"]
    return found


def outcomes(text: str) -> dict[str, int]:
    """Return how many checkpoints were swapped in and refused, as metrics have it."""
    pattern = r'^vae_checkpoint_swaps_total{outcome="(\w+)"} (\d+)\.0$'
    return {k: int(n) for k, n in re.findall(pattern, text, re.MULTILINE)}


def wait_for(served: Served, is_so: Callable[[], object]) -> None:
    """Let the service run until something is so."""
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        served.get("/livez")


def hang_up(served: Served, *, swapped: int, refused: int) -> None:
    """Send SIGHUP and wait for so many outcomes, counted from the start."""
    os.kill(os.getpid(), signal.SIGHUP)
    wanted = {"swapped": swapped, "refused": refused}
    wait_for(served, lambda: outcomes(served.get("/metrics").text) == wanted)


def test_all_that_is_said_is_of_the_new_checkpoint(
    served: Served, directory: Path
) -> None:
    """Card, entity tag, examples, API document, metrics and answers."""
    paths = ("/model", "/examples", "/openapi.json")
    before = {path: served.get(path) for path in paths}
    tag = before["/model"].headers["etag"]
    config = tiny_config("gaussian", data_shape=(5,))
    save_golden(directory, tiny_vae(config, seed=3), X[:, :5])
    new = version_at(directory)

    hang_up(served, swapped=1, refused=0)

    after = {path: served.get(path) for path in paths}
    unmatched = served.get("/model", headers={"if-none-match": tag})
    text = served.get("/metrics").text
    with Served(directory) as fresh:
        wanted = fresh.post("/encode", {"x": [[0.5] * 5]}).content
        for path in paths:
            assert after[path].content != before[path].content
            assert after[path].content == fresh.get(path).content
    assert unmatched.status_code == 200
    assert after["/model"].json()["version"] == new == version(served)
    assert served.post("/encode", {"x": [[0.5] * 5]}).content == wanted
    assert served.post("/encode", BODY).status_code == 422
    assert re.findall(r'vae_model_info{.*version="(\w+)"} 1.0', text) == [new]


class Slow:
    """A request for /loglik whose body is sent on demand."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._body = asyncio.Event()
        self._is_read = False
        self._task: asyncio.Task[None]
        self.sent: list[Message] = []

    async def begin(self) -> None:
        """Send the head."""
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/loglik",
            "query_string": b"n_samples=2&seed=1",
            "headers": [(b"content-type", b"application/json")],
        }
        self._task = asyncio.create_task(
            self._served.app(scope, self._receive, self._send)
        )
        await asyncio.sleep(0)

    async def end(self) -> None:
        """Send the body and wait for the answer."""
        self._body.set()
        await self._task

    async def _receive(self) -> Message:
        await self._body.wait()
        if self._is_read:  # the client stays connected
            await asyncio.Event().wait()
        self._is_read = True
        return {"type": "http.request", "body": json.dumps(BODY).encode()}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)


def loaded_model_of(served: Served) -> LoadedModel:
    """Return what answers."""
    return served.app.current.loaded


@pytest.mark.slow("swaps while a request computes")
def test_a_request_in_flight_is_answered_by_the_checkpoint_it_met(
    served: Served, directory: Path
) -> None:
    """Its version and its numbers are the old one's, whose threads run as long."""
    slow = Slow(served)
    asked = {**BODY, "n_samples": 2, "seed": 1}
    wanted = served.post("/loglik", asked)
    old = weakref.ref(loaded_model_of(served))
    served.run(slow.begin())
    new = write(directory, seed=2)

    hang_up(served, swapped=1, refused=0)
    meanwhile = served.post("/loglik", asked)
    was_kept = old() is not None
    served.run(slow.end())

    start, body = slow.sent
    headers = dict(start["headers"])
    assert was_kept
    assert start["status"] == 200
    assert headers[b"x-model-version"].decode() == wanted.headers["x-model-version"]
    assert body["body"] == wanted.content
    assert meanwhile.headers["x-model-version"] == new
    assert meanwhile.content != wanted.content
    wait_for(served, lambda: old() is None)


@pytest.mark.slow("loads many checkpoints")
@pytest.mark.parametrize("path", ["/encode", "/loglik", "/model", "/examples"])
def test_an_old_checkpoint_is_freed_at_once(
    served: Served, directory: Path, path: str
) -> None:
    """Nothing holds it, not even a cycle that a collector would have to find."""
    method = "POST" if path in {"/encode", "/loglik"} else "GET"
    assert served.request(method, path, json=BODY).status_code == 200
    loaded = loaded_model_of(served)
    kept: list[weakref.ref[object]] = [
        weakref.ref(loaded),
        weakref.ref(loaded.model.compute.engine),
        weakref.ref(loaded.model.compute.engine.checkpoint.vae),
        weakref.ref(loaded.model.compute.batcher._thread),
    ]
    del loaded
    gc.collect()
    write(directory, seed=2)

    gc.disable()
    try:
        hang_up(served, swapped=1, refused=0)
        wait_for(served, lambda: kept[0]() is None)
    finally:
        gc.enable()

    assert [reference() for reference in kept] == [None] * len(kept)


def test_what_a_row_costs_is_known_before_the_first_request(
    served: Served, directory: Path
) -> None:
    """Of the first checkpoint and of the next: no request is the first to be run."""
    write(directory, seed=2)
    compute = [loaded_model_of(served).model.compute]

    hang_up(served, swapped=1, refused=0)

    compute.append(loaded_model_of(served).model.compute)
    unknown = Queue("none", lambda *arrays: arrays).row_seconds
    for operations in compute:
        queues = operations.batcher._queues
        assert queues.keys() == {"encode", "decode", "sample", ("elbo", 1)}
        assert all(0 < q.row_seconds != unknown for q in queues.values())


def test_a_connection_at_rest_keeps_no_checkpoint(served: Served) -> None:
    """The server keeps a scope until the next request; no loaded is left in it."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/model",
        "query_string": b"",
        "headers": [],
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def ask() -> None:
        await served.app(scope, receive, send)

    served.run(ask())

    assert sent[0]["status"] == 200
    assert not any(isinstance(value, LoadedModel) for value in scope.values())


def pipe_for_manifest(directory: Path) -> None:
    """Put a pipe without a writer in the place of the manifest."""
    (directory / "manifest.json").unlink()
    os.mkfifo(directory / "manifest.json")


def edit_card(directory: Path) -> None:
    """Change a letter of the model card."""
    (directory / "README.md").write_text("# Tiny\n")


@pytest.mark.slow("loads many checkpoints")
@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (flip_a_bit, "model.safetensors: expected sha256"),
        (edit_card, "README.md: expected sha256"),
        (pipe_for_manifest, "manifest.json: cannot be read: not a regular file"),
        (forge, "manifest.json: golden: expected an ELBO of"),
        (lambda path: (path / "manifest.json").write_text("{}"), "Field required"),
        (shutil.rmtree, "no such directory"),
    ],
    ids=["weights", "card", "pipe", "golden", "manifest", "missing"],
)
def test_a_bad_checkpoint_is_refused(
    served: Served,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    harm: Callable[[Path], object],
    words: str,
) -> None:
    """One line says why; what was served serves on, until a good one comes."""
    monkeypatch.setattr(reload, "sleep", lambda _: None)
    before, wanted = version(served), served.post("/encode", BODY).content
    write(directory, seed=2)
    harm(directory)

    hang_up(served, swapped=0, refused=1)

    assert version(served) == before
    assert served.post("/encode", BODY).content == wanted
    assert served.get("/readyz").status_code == 200
    [record] = caplog.records
    assert record.levelname == "ERROR"
    start = f"checkpoint {before} is still served, the new one is refused: "
    assert record.getMessage().startswith(start)
    assert words in record.getMessage()
    new = write(directory, seed=2)
    hang_up(served, swapped=1, refused=1)
    assert version(served) == new


@pytest.mark.parametrize(
    ("harm", "name"), [(flip_a_bit, "model.safetensors"), (edit_card, "README.md")]
)
@pytest.mark.parametrize("watch_seconds", [0, 0.01])
def test_damage_to_the_checkpoint_that_is_served_is_told(
    directory: Path,
    caplog: pytest.LogCaptureFixture,
    harm: Callable[[Path], object],
    name: str,
    watch_seconds: float,
) -> None:
    """Its manifest is the same, but the service would not start again."""
    caplog.set_level(logging.INFO)
    copy = shutil.copytree(directory, directory.with_name("copy"))
    sound = (copy / name).read_bytes()
    harm(copy)
    damaged = (copy / name).read_bytes()

    def put(content: bytes) -> None:
        (copy / name).write_bytes(content)
        (copy / name).replace(directory / name)

    with Served(directory, watch_seconds=watch_seconds) as served:
        before, wanted = version(served), served.post("/encode", BODY).content
        for _ in range(2):
            caplog.clear()
            put(damaged)
            if not watch_seconds:
                os.kill(os.getpid(), signal.SIGHUP)
            wait_for(served, lambda: "is refused: " in caplog.text)
            put(sound)
            os.kill(os.getpid(), signal.SIGHUP)
            wait_for(served, lambda: "is unchanged" in caplog.text)
            assert version(served) == before
            assert served.post("/encode", BODY).content == wanted
            [refused] = [r for r in caplog.records if r.levelname == "ERROR"]
            assert f"{name}: expected sha256" in refused.getMessage()
        counted = outcomes(served.get("/metrics").text)

    assert counted == {"swapped": 0, "refused": 2}


def test_a_defect_in_loading_is_logged_and_refused(
    served: Served,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The traceback is in the log; what was served serves on."""

    def broken(_: Loader) -> LoadedModel:
        raise RuntimeError("out of luck")

    before = version(served)
    write(directory, seed=2)
    monkeypatch.setattr(Loader, "load", broken)

    hang_up(served, swapped=0, refused=1)

    assert version(served) == before
    assert 'raise RuntimeError("out of luck")' in caplog.text


def test_a_directory_that_is_just_being_replaced_is_waited_for(
    served: Served, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two renames nothing lies there; then the new one does."""
    new = write(directory.with_name("new"), seed=2)
    shutil.rmtree(directory)

    def replaced(_: float) -> None:
        directory.with_name("new").rename(directory)

    monkeypatch.setattr(reload, "sleep", replaced)
    hang_up(served, swapped=1, refused=0)

    assert version(served) == new


@pytest.mark.slow("loads checkpoints again and again")
def test_files_of_two_checkpoints_are_read_again(
    served: Served, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest that has changed since it was read is no fault of the checkpoint."""
    write(directory, seed=2)
    load, loads = Loader.load, list[str]()

    def replaced_meanwhile(loader: Loader) -> LoadedModel:
        if not loads:
            loads.append(write(directory, seed=3))
            raise CheckpointError("expected sha256 of another")
        return load(loader)

    monkeypatch.setattr(Loader, "load", replaced_meanwhile)
    hang_up(served, swapped=1, refused=0)

    assert version(served) == loads[0]


def test_signals_during_a_swap_are_remembered_once(
    served: Served,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Three while one checkpoint is loaded make one more look, which finds it."""
    caplog.set_level(logging.INFO)
    write(directory, seed=2)
    load = Loader.load

    def interrupted(loader: Loader) -> LoadedModel:
        for _ in range(3):
            loop.call_soon_threadsafe(os.kill, os.getpid(), signal.SIGHUP)
        return load(loader)

    async def running() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    loop = served._runner.run(running())
    monkeypatch.setattr(Loader, "load", interrupted)
    hang_up(served, swapped=1, refused=0)
    wait_for(served, lambda: "is unchanged" in caplog.text)
    for _ in range(20):
        served.get("/livez")

    assert caplog.text.count("is unchanged") == 1
    assert caplog.text.count("was replaced by") == 1


def test_a_watch_swaps_without_a_signal(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is half there is refused once, however often it changes, then taken."""
    with Served(directory, watch_seconds=0.01) as served:
        before = version(served)
        weights = directory / "model.safetensors"
        new = write(directory.with_name("new"), seed=2)
        whole = (directory.with_name("new") / weights.name).read_bytes()
        for name in ("config.json", "metrics.json", "README.md", "manifest.json"):
            shutil.copy(directory.with_name("new") / name, directory)
        seen = []
        for part in (len(whole) // 2, len(whole) - 1):
            weights.write_bytes(whole[:part])
            wait_for(served, lambda: caplog.records)
            for _ in range(20):
                served.run(asyncio.sleep(0.005))
            seen.append((version(served), len(caplog.records)))
        weights.write_bytes(whole)
        wait_for(served, lambda: version(served) == new)
        counted = outcomes(served.get("/metrics").text)

    assert seen == [(before, 1)] * 2
    assert counted == {"swapped": 1, "refused": 1}


def test_a_start_checks_the_golden_record(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line and status 3, as every start that fails."""
    forge(directory)
    monkeypatch.setenv("VAE_CHECKPOINT", str(directory))

    with pytest.raises(SystemExit) as raised:
        main.from_environment()

    printed = capsys.readouterr().err
    assert raised.value.code == 3
    assert re.fullmatch(r"error: .*manifest.json: golden: expected .*\n", printed)
    assert "for example 3, got" in printed


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_the_golden_record_is_what_elbo_answers(directory: Path, backend: str) -> None:
    """Anybody can check a service: `/elbo` of the examples, in either backend."""
    record = checkpoint.load(directory).manifest.golden
    assert record is not None
    asked = {"n_samples": record.n_samples, "seed": record.seed}

    with Served(directory, backend=backend) as served:
        x = served.get("/examples").json()["x"]
        found = served.post("/elbo", {"x": x, **asked}).json()["elbo"]

    np.testing.assert_allclose(found, record.elbo, rtol=1e-5, atol=1e-5)


def processes(running: subprocess.Popen[str]) -> set[int]:
    """Return the processes that a process has started."""
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    return {int(pid) for pid in children.read_text().split()}


@pytest.mark.slow("starts processes")
def test_every_worker_swaps_and_none_is_replaced(directory: Path) -> None:
    """One SIGHUP to the parent: both count a swap, and no old version is left."""
    settings = {"VAE_CHECKPOINT": str(directory), "VAE_WORKERS": "2"}

    with process(settings) as (address, running):
        before = processes(running)
        new = write(directory, seed=2)
        running.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + SECONDS
        text = ""
        while outcomes(text) != {"swapped": 2, "refused": 0}:
            assert time.monotonic() < deadline
            text = plain_http.get(f"{address}/metrics", timeout=SECONDS).text
        versions = {
            plain_http.get(f"{address}/livez", timeout=SECONDS).headers[
                "x-model-version"
            ]
            for _ in range(20)
        }
        after = processes(running)

    assert versions == {new}
    assert re.findall(r'^vae_model_info{.*version="(\w+)"}', text, re.MULTILINE) == [
        new
    ]
    assert after == before
    assert running.returncode == 0


@pytest.mark.slow("starts processes")
def test_a_hangup_does_not_end_a_start(directory: Path) -> None:
    """It waits until somebody hears it: what it asks for is not lost."""
    settings = {"VAE_CHECKPOINT": str(directory)}
    with start(settings, stderr=subprocess.PIPE) as running:
        status = Path(f"/proc/{running.pid}/status")
        while not int(re.findall(r"SigBlk:\s+(\w+)", status.read_text())[0], 16) & 1:
            assert running.poll() is None
        running.send_signal(signal.SIGHUP)
        assert running.stdout is not None
        *_, line = start_lines(running.stdout)
        running.send_signal(signal.SIGTERM)
        _, printed = running.communicate(timeout=SECONDS)

    assert line.startswith("listening on http://")
    assert "is unchanged" in printed
    assert running.returncode == 0


def test_the_end_is_known_before_threads_are_waited_for(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that is being loaded then does not block the event loop."""
    begun = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []
    phases: list[str] = []

    async def note_loop() -> None:
        loops.append(asyncio.get_running_loop())

    def load(_: Loader) -> Never:
        begun.set()
        until(lambda: service.app.lifecycle.has_ended)
        for _i in range(100):  # more turns of the loop than until it waits for this
            turn = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loops[0])
            turn.result(SECONDS)
        phases.append("loaded")
        raise CheckpointError("came too late")

    def close(_: LoadedModel) -> None:
        phases.append(service.app.lifecycle.phase)

    service = Served(directory)
    with service:
        service.run(note_loop())
        monkeypatch.setattr(Loader, "load", load)
        monkeypatch.setattr(LoadedModel, "close", close)
        write(directory, seed=2)
        os.kill(os.getpid(), signal.SIGHUP)
        wait_for(service, begun.is_set)

    assert phases == ["loaded", "ended"]
