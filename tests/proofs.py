"""What a model's engine proves at its start, proved once in a process of tests."""

import hashlib
from collections.abc import Callable, Iterator
from unittest.mock import patch

import pytest

from model.engine import Engine
from model.engine.invariance import Tiling
from model.engine.probe import Probe

Proof = dict[str, Tiling | None]
Prove = Callable[[Engine, Probe], Proof]


@pytest.fixture(scope="session", autouse=True)
def proved_once() -> Iterator[None]:
    """
    Prove for each model once that its rows are independent.

    Tests load the same weights hundreds of times, and the proof takes most of a load.
    """
    with patch.object(Engine, "_prove", once(Engine._prove)):
        yield


def once(prove: Prove) -> Prove:
    """Return what proves each model once, on each backend."""
    known: dict[tuple[str, ...], Proof] = {}

    def remembered(engine: Engine, rows: Probe) -> Proof:
        key = _key(engine)
        if key not in known:
            known[key] = prove(engine, rows)
        return known[key]

    return remembered


def _key(engine: Engine) -> tuple[str, ...]:
    """Return all that a proof depends on; a model of graphs is that of its files."""
    loaded = engine.checkpoint
    weights = hashlib.sha256()
    for tensor in loaded.vae.state_dict().values():
        weights.update(tensor.cpu().numpy().tobytes())
    config = loaded.config
    files = loaded.sha256 if config.encoder.kind == "graph" else ""
    what = (config.model_dump_json(), weights.hexdigest(), files)
    return *what, engine.backend, engine.device
