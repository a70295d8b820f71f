"""Real processes: how a start fails, and answers that do not depend on the process."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import plain_http
from tests.app.damages import DAMAGES
from tests.app.processes import PYTHON_APP, SECONDS, UVICORN, failed_start, process

pytestmark = pytest.mark.slow("starts processes")


def test_a_damaged_checkpoint_ends_the_start(checkpoints: Path, tmp_path: Path) -> None:
    """Exit status 3 and one line that names what is wrong; nothing on stdout."""
    for name, (harm, _) in DAMAGES.items():
        shutil.copytree(checkpoints / "bernoulli", tmp_path / name)
        harm(tmp_path / name)

    with ThreadPoolExecutor(2) as pool:  # most of a start is importing libraries
        ends = pool.map(
            lambda name: failed_start({"VAE_CHECKPOINT": str(tmp_path / name)}),
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
    """A misspelled variable is not ignored, whichever command starts the service."""
    ended = failed_start({"VAE_CHECKPIONT": "x"}, command)

    message = "error: VAE_CHECKPIONT is not a setting; did you mean VAE_CHECKPOINT?\n"
    assert ended.returncode == 3
    assert ended.stderr == message


def test_two_processes_give_the_same_bits(checkpoints: Path) -> None:
    """With a seed, `/sample` and `/elbo` answer the same bytes from two processes."""
    settings = {"VAE_CHECKPOINT": str(checkpoints / "bernoulli")}
    sample = {"n": 20, "seed": 4, "draw": "sample"}
    elbo = {"x": [[0.3] * 16] * 9, "seed": 4, "n_samples": 7, "binarize": "sample"}

    with process(settings) as (one, _), process(settings) as (other, _):
        samples = [
            plain_http.post(f"{at}/sample", json=sample, timeout=SECONDS)
            for at in (one, other)
        ]
        bounds = [
            plain_http.post(f"{at}/elbo", json=elbo, timeout=SECONDS)
            for at in (one, other)
        ]

    assert samples[0].status_code == bounds[0].status_code == 200
    assert samples[0].content == samples[1].content
    assert bounds[0].content == bounds[1].content


def test_a_process_serves_and_stops_in_good_order(checkpoints: Path) -> None:
    """It says where it listens, answers over a socket, and ends at SIGTERM with 0."""
    settings = {"VAE_CHECKPOINT": str(checkpoints / "bernoulli")}

    with process(settings, command=PYTHON_APP) as (address, running):
        ready = plain_http.get(f"{address}/readyz", timeout=SECONDS)
        head = plain_http.head(f"{address}/sample", timeout=SECONDS)
        bad = plain_http.post(f"{address}/encode", content=b"{}", timeout=SECONDS)
        long = plain_http.post(
            f"{address}/encode", json={"x": [[0.5] * 16] * 4000}, timeout=SECONDS
        )

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

        def counted() -> str:
            return plain_http.get(f"{address}/metrics", timeout=SECONDS).text

        # A connection each, so that the kernel spreads them over both workers.
        answers = [
            plain_http.get(f"{address}/sample?n=3&seed=1", timeout=SECONDS)
            for _ in range(20)
        ]
        # A worker counts a request after it has sent the response.
        while 'vae_requests_total{route="/sample",status="200"} 20.0' not in counted():
            assert running.poll() is None
        running.terminate()
        status = running.wait(SECONDS)

    assert len({answer.content for answer in answers}) == 1
    assert status == 0


def test_a_damaged_checkpoint_ends_all_workers(tmp_path: Path) -> None:
    """Several workers that cannot start end with status 3 and one line, too."""
    settings = {"VAE_CHECKPOINT": str(tmp_path / "none"), "VAE_WORKERS": "2"}

    ended = failed_start(settings)

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
        status = plain_http.get(f"{address}/readyz", timeout=SECONDS).status_code

    assert status == 200
    assert running.returncode == 0
