"""Pauses: where they are, and that they change nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, is_dataclass
from functools import partial

import numpy as np
import pytest
import torch

from model.inference import analyses
from model.inference.effort import Effort
from model.inference.pauses import pause, pausing
from tests.tiny import tiny_config, tiny_vae

VAE = tiny_vae(tiny_config("bernoulli", data_shape=(6,), latent_dim=1))
X = torch.tensor([[0, 1, 1, 0, 1, 0]]).float()
OBSERVED = torch.tensor([[0, 0, 1, 0, 1, 1]]).bool()
EFFORT = Effort.adaptive(target=0.1, budget=256)
BOUND = partial(analyses.evidence, VAE, X, Effort.fixed(64), seed=1)
CALLS: dict[str, Callable[[], object]] = {
    "evidence": partial(analyses.evidence, VAE, X, EFFORT, seed=1),
    "bound": BOUND,
    "bracketed": partial(analyses.bracket, VAE, X, EFFORT, seed=1),
    "refined": partial(analyses.refine, VAE, X, seed=1),
    "imputed": partial(
        analyses.impute, VAE, X, OBSERVED, n_draws=64, n_samples=2, seed=1
    ),
}
LEAST = 2  # pauses


def bits(found: object) -> list[bytes]:
    """Return the bits of all figures."""
    assert is_dataclass(found)
    assert not isinstance(found, type)
    return [np.asarray(value).tobytes() for value in astuple(found)]


def test_nothing_is_called_unless_wished() -> None:
    """Outside a block, and after it, a pause does nothing."""
    calls = []

    pause()
    with pausing(lambda: calls.append(1)):
        pause()
    pause()

    assert calls == [1]


def test_a_wish_is_that_of_its_thread() -> None:
    """Another thread pauses as it wishes."""
    with ThreadPoolExecutor(1) as pool, pausing(lambda: pytest.fail("not mine")):
        pool.submit(pause).result()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow("runs chains"))
        if name == "bracketed"
        else name
        for name in CALLS
    ],
)
def test_an_analysis_pauses_and_has_the_same_bits(name: str) -> None:
    """Whatever is computed in a pause: here, once, another analysis of the row."""
    call, n = CALLS[name], 0
    wanted = bits(call())

    def interrupt() -> None:
        nonlocal n
        n += 1
        if n == LEAST:
            with torch.no_grad():
                BOUND()

    with pausing(interrupt):
        found = bits(call())

    assert n >= LEAST
    assert found == wanted


def test_what_a_pause_raises_ends_the_analysis() -> None:
    """So work that is not wanted any more can be ended."""

    def end() -> None:
        raise InterruptedError

    with pausing(end), pytest.raises(InterruptedError):
        CALLS["evidence"]()
