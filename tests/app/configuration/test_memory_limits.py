"""Default limits keep a worker within its part of the memory that there is."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from app.configuration import memory_limits
from app.configuration.memory_limits import (
    MIN_SHARED_BYTES,
    N_SHARES,
    PROCESS_BYTES,
    shared_bytes,
    wanted_bytes,
)
from app.configuration.serving import RELEASED
from app.settings import Settings
from tests import plain_http
from tests.app.processes import SECONDS, process

MIB, GIB = 1 << 20, 1 << 30
DERIVED = (
    *("max_body_bytes", "max_bodies_bytes", "max_responses_bytes"),
    *("max_output_values", "max_image_pixels", "max_queue_bytes", "max_connections"),
)


def derived(
    monkeypatch: pytest.MonkeyPatch, memory: int, n_workers: int
) -> dict[str, int]:
    """Return the default limits of the released model where there is that memory."""
    monkeypatch.setattr(memory_limits, "available_memory", lambda: memory)
    settings = Settings.from_environment({"VAE_WORKERS": str(n_workers)})
    return {name: getattr(settings, name) for name in DERIVED}


def test_much_memory_leaves_the_limits_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With 8 GiB a worker they are those of the documentation."""
    assert derived(monkeypatch, 8 * GIB, 1) == {
        "max_body_bytes": 64 * MIB,
        "max_bodies_bytes": 512 * MIB,
        "max_responses_bytes": 512 * MIB,
        "max_output_values": 1 << 24,
        "max_image_pixels": 1 << 24,
        "max_queue_bytes": GIB,
        "max_connections": 1024,
    }


@pytest.mark.parametrize("n_workers", [1, 2, 4])
@pytest.mark.parametrize("memory", [GIB, 2 * GIB, 4 * GIB])
def test_what_may_be_held_at_once_fits(
    monkeypatch: pytest.MonkeyPatch, memory: int, n_workers: int
) -> None:
    """Bodies with their rows, waiting rows, responses, connections: a share each."""
    limits = derived(monkeypatch, memory, n_workers)
    shared = shared_bytes(RELEASED, n_workers, memory)

    assert 3 * limits["max_bodies_bytes"] <= shared / N_SHARES
    assert limits["max_queue_bytes"] <= shared / N_SHARES
    assert limits["max_responses_bytes"] <= shared / N_SHARES
    assert (256 << 10) * limits["max_connections"] <= shared / N_SHARES
    # And what one request alone may hold, however much others do.
    assert limits["max_body_bytes"] <= limits["max_bodies_bytes"]
    assert 4 * limits["max_output_values"] <= limits["max_responses_bytes"]


def test_the_part_of_a_worker_is_what_the_formula_says(tmp_path: Path) -> None:
    """90 % divided by the workers, less the process and four times the weights."""
    (tmp_path / "model.safetensors").write_bytes(bytes(10 * MIB))

    found = shared_bytes(tmp_path, 2, 4 * GIB)

    assert found == int(0.9 * 4 * GIB) // 2 - PROCESS_BYTES - 40 * MIB
    assert shared_bytes(tmp_path, 2, GIB // 2) == MIN_SHARED_BYTES


def test_too_little_memory_is_known(tmp_path: Path) -> None:
    """What workers need at least leaves each the least that is shared, and no more."""
    for n_workers in (1, 2, 8):
        least = wanted_bytes(tmp_path, n_workers) + MIB
        assert shared_bytes(tmp_path, n_workers, least) - MIN_SHARED_BYTES < MIB
        assert shared_bytes(tmp_path, n_workers, 2 * least) > MIN_SHARED_BYTES


def test_a_limit_that_is_set_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little memory there is."""
    monkeypatch.setattr(memory_limits, "available_memory", lambda: GIB)

    settings = Settings.from_environment({"VAE_MAX_RESPONSES_BYTES": str(GIB)})

    assert settings.max_responses_bytes == GIB


def peak_bytes(pid: int) -> tuple[int, int]:
    """Return how much memory of its own a process has, and the most it has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    now, most = (re.findall(rf"{key}:\s+(\d+) kB", status)[0] for key in KEYS)
    return int(now) << 10, int(most) << 10


KEYS = ("VmRSS", "VmHWM")


@pytest.mark.slow("starts a process")
def test_twelve_long_responses_at_once_stay_within_two_gib(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the limits of one of two workers in 2 GiB none grows past its part."""
    limits = derived(monkeypatch, 2 * GIB, 2)
    settings = {f"VAE_{name.upper()}": str(value) for name, value in limits.items()}
    body = json.dumps({"n": 16_384})
    have_begun = Barrier(12)

    def ask(address: str) -> int:
        headers = {"content-type": "application/json"}
        with plain_http.stream(
            "POST", f"{address}/sample", content=body, headers=headers, timeout=SECONDS
        ) as answer:
            have_begun.wait(SECONDS)  # so that all that are accepted are held
            for _ in answer.iter_raw():
                pass
            return answer.status_code

    with process(settings) as (address, running), ThreadPoolExecutor(12) as pool:
        before, _ = peak_bytes(running.pid)
        statuses = list(pool.map(ask, [address] * 12))
        _, most = peak_bytes(running.pid)

    assert running.returncode == 0
    assert set(statuses) <= {200, 429}
    assert 200 in statuses
    assert (most - before) >> 20 < shared_bytes(RELEASED, 2, 2 * GIB) >> 20
