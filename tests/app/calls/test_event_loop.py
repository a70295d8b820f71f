"""Calls with long work: none of it is done in the thread of the event loop."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from prometheus_client import CollectorRegistry, generate_latest

from app.errors import UnprocessableError
from app.http.writer import check_finite
from app.wire.reply import Reply
from model.noise import BLOCK_ROWS
from tests.app.served import Served

X = [[0.0] * 16]


class Recorded(np.random.Generator):
    """
    A generator that records how many numbers the main thread draws.

    Attributes:
        n_drawn: The numbers of all generators.
    """

    n_drawn: ClassVar[list[int]] = []

    def standard_normal(self, *args: Any, **kwargs: Any) -> Any:
        """Draw as the generators of numpy do."""
        found = super().standard_normal(*args, **kwargs)
        if threading.current_thread() is threading.main_thread():
            self.n_drawn.append(np.size(found))
        return found


@pytest.mark.parametrize("path", ["/reconstruct", "/elbo"])
def test_the_noise_before_the_first_row_is_drawn_in_threads(
    bernoulli: Served, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row may need the noise of all rows before it, which takes seconds."""
    monkeypatch.setattr(np.random, "Generator", Recorded)
    monkeypatch.setattr(Recorded, "n_drawn", [])

    answer = bernoulli.post(
        path, {"x": X, "n_samples": 8, "seed": 1, "first": BLOCK_ROWS - 1}
    )

    assert answer.status_code == 200
    assert sum(Recorded.n_drawn) == 8 * bernoulli.checkpoint.config.latent_dim


@pytest.mark.parametrize(
    ("path", "body", "function"),
    [
        ("/interpolate", {"x": 2 * X, "n": 9}, "linspace"),
        ("/traverse", {"x": X, "n": 9}, "stack"),
    ],
)
def test_paths_are_computed_in_threads(
    bernoulli: Served,
    path: str,
    body: Any,
    function: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A path has up to as many points as a response has rows."""
    threads: set[str] = set()
    original: Callable[..., Any] = getattr(torch, function)

    def recorded(*args: Any, **kwargs: Any) -> Any:
        threads.add(threading.current_thread().name)
        return original(*args, **kwargs)

    monkeypatch.setattr(torch, function, recorded)

    answer = bernoulli.post(path, body)

    assert answer.status_code == 200
    assert threads
    assert threading.current_thread().name not in threads


def test_metrics_are_written_in_a_thread(
    bernoulli: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library adds up the numbers of all workers in Python."""
    threads: set[str] = set()

    def recorded(registry: CollectorRegistry) -> bytes:
        threads.add(threading.current_thread().name)
        return generate_latest(registry)

    monkeypatch.setattr("app.observability.metrics.generate_latest", recorded)

    answer = bernoulli.get("/metrics")

    assert answer.status_code == 200
    assert threads
    assert threading.current_thread().name not in threads


def test_the_first_value_that_is_not_finite_is_found_in_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A response may have millions of values before it."""
    threads: set[str] = set()
    values = np.zeros((1000, 400), np.float32)
    values[999, 1] = np.nan
    original: Callable[..., Any] = np.argmin

    def recorded(*args: Any, **kwargs: Any) -> Any:
        threads.add(threading.current_thread().name)
        return original(*args, **kwargs)

    monkeypatch.setattr(np, "argmin", recorded)

    with pytest.raises(UnprocessableError):
        asyncio.run(check_finite(Reply({"x": values}), "z", by_row=True))
    assert threads
    assert threading.current_thread().name not in threads
