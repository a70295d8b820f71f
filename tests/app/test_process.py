"""Real processes: how a start fails, and answers that do not depend on the process."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import pytest
from safetensors.numpy import load, save

ROOT = Path(__file__).parents[2]
SECONDS = 60
PYTHON_APP = (sys.executable, "-m", "app")
WORKER = b"app.server.worker"  # on the command line of one of several processes
UVICORN = (sys.executable, "-m", "uvicorn", "--factory", "app.main:from_environment")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this environment with these settings and no others."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("VAE_")}
    ours = {"VAE_PORT": "0", "VAE_THREADS": "1", "VAE_DRAIN_DELAY": "0"}
    return {**others, **ours, **settings}


@contextmanager
def process(
    settings: Mapping[str, str],
    *,
    stderr: IO[str] | int | None = None,
    command: tuple[str, ...] = PYTHON_APP,
    cwd: Path = ROOT,
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the service; yield its address and the process, which is ended after."""
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            *_, line = start_lines(running.stdout)
            yield line.removeprefix("listening on "), running
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(SECONDS)


def start_lines(stdout: IO[str]) -> list[str]:
    """Return what a service says at its start, to where it listens."""
    lines: list[str] = []
    while not lines or not lines[-1].startswith("listening on http"):
        line = stdout.readline()
        assert line, lines
        lines.append(line.removesuffix("\n"))
    return lines


def failed_start(
    command: tuple[str, ...], settings: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Start a service that cannot start."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


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
        lambda path: edit_config(path, "format_version", 2),
        "config.json: format_version",
    ),
    "NaN": (put_nan, "expected finite values, got nan"),
}


def test_a_damaged_checkpoint_ends_the_start(checkpoints: Path, tmp_path: Path) -> None:
    """Exit status 3 and one line that names what is wrong; nothing on stdout."""
    for name, (harm, _) in DAMAGES.items():
        shutil.copytree(checkpoints / "bernoulli", tmp_path / name)
        harm(tmp_path / name)

    with ThreadPoolExecutor(2) as pool:  # most of a start is importing libraries
        ends = pool.map(
            lambda name: failed_start(
                PYTHON_APP, {"VAE_CHECKPOINT": str(tmp_path / name)}
            ),
            DAMAGES,
        )

    for (_, words), ended in zip(DAMAGES.values(), ends, strict=True):
        assert ended.returncode == 3, ended.stderr
        assert ended.stderr.count("\n") == 1
        assert ended.stderr.startswith("error: ")
        assert words in ended.stderr
        assert ended.stdout == ""


@pytest.mark.parametrize("command", [PYTHON_APP, UVICORN], ids=["app", "uvicorn"])
def test_an_unknown_setting_ends_the_start(command: tuple[str, ...]) -> None:
    """A misspelt variable is not ignored, whichever command starts the service."""
    ended = failed_start(command, {"VAE_CHECKPIONT": "x"})

    message = "error: VAE_CHECKPIONT is not a setting; did you mean VAE_CHECKPOINT?\n"
    assert ended.returncode == 3
    assert ended.stderr == message


def test_two_processes_give_the_same_bits(checkpoints: Path) -> None:
    """With a seed, `/sample` and `/elbo` answer the same bytes from two processes."""
    settings = {"VAE_CHECKPOINT": str(checkpoints / "bernoulli")}
    sample = {"n": 20, "seed": 4, "draw": "sample"}
    elbo = {"x": [[0.3] * 16] * 9, "seed": 4, "n_samples": 7, "binarize": "sample"}

    with process(settings) as (one, _), process(settings) as (other, _):
        samples = [httpx.post(f"{at}/sample", json=sample) for at in (one, other)]
        bounds = [httpx.post(f"{at}/elbo", json=elbo) for at in (one, other)]

    assert samples[0].status_code == bounds[0].status_code == 200
    assert samples[0].content == samples[1].content
    assert bounds[0].content == bounds[1].content


def test_a_process_serves_and_stops_in_good_order(checkpoints: Path) -> None:
    """It says where it listens, answers over a socket, and ends at SIGTERM with 0."""
    settings = {"VAE_CHECKPOINT": str(checkpoints / "bernoulli")}

    with process(settings) as (address, running):
        ready = httpx.get(f"{address}/readyz")
        head = httpx.head(f"{address}/sample")
        bad = httpx.post(f"{address}/encode", content=b"{}")
        long = httpx.post(f"{address}/encode", json={"x": [[0.5] * 16] * 4000})

    assert ready.status_code == 200
    assert "server" not in ready.headers
    assert head.status_code == 200
    assert bad.status_code == 415
    assert len(long.json()["mu"]) == 4000
    assert running.returncode == 0


def test_several_workers_share_one_port_and_add_up(checkpoints: Path) -> None:
    """With two workers every answer has the same bits, and metrics count them all."""
    settings = {"VAE_CHECKPOINT": str(checkpoints / "bernoulli"), "VAE_WORKERS": "2"}

    with process(settings) as (address, running):
        # A connection each, so that the kernel spreads them over both workers.
        answers = [
            httpx.get(f"{address}/sample?n=3&seed=1", timeout=SECONDS)
            for _ in range(20)
        ]
        counted = httpx.get(f"{address}/metrics").text
        running.terminate()
        status = running.wait(SECONDS)

    assert len({answer.content for answer in answers}) == 1
    assert 'vae_requests_total{route="/sample",status="200"} 20.0' in counted
    assert status == 0


def test_a_damaged_checkpoint_ends_all_workers(tmp_path: Path) -> None:
    """Several workers that cannot start end with status 3 and one line, too."""
    settings = {"VAE_CHECKPOINT": str(tmp_path / "none"), "VAE_WORKERS": "2"}

    ended = failed_start(PYTHON_APP, settings)

    assert ended.returncode == 3
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("error: ")
    assert "no such directory" in ended.stderr


def test_a_checkpoint_that_a_killed_writer_set_aside_is_served(
    checkpoints: Path, tmp_path: Path
) -> None:
    """A start between the two renames of a system that cannot exchange two names."""
    shutil.copytree(checkpoints / "bernoulli", tmp_path / ".tiny.previous")

    with process({"VAE_CHECKPOINT": str(tmp_path / "tiny")}) as (address, running):
        status = httpx.get(f"{address}/readyz", timeout=SECONDS).status_code

    assert status == 200
    assert running.returncode == 0
