"""Tests prove each model once, and no model by the proof of another."""

from pathlib import Path
from unittest.mock import patch

from model.engine import Engine
from tests.proofs import Proof, once


def test_each_model_is_proved_once_on_each_backend(checkpoints: Path) -> None:
    """Other weights, another model or another library need a proof of their own."""
    proved: list[tuple[str, str]] = []

    def prove(engine: Engine, _: object) -> Proof:
        proved.append((engine.config.likelihood.kind, engine.backend))
        return {}

    with patch.object(Engine, "_prove", once(prove)):
        for name in ("bernoulli", "linear", "bernoulli"):
            for backend in ("torch", "onnx", "torch"):
                Engine.load(
                    checkpoints / name, device="cpu", backend=backend, n_threads=1
                )

    assert proved == [
        (kind, backend)
        for kind in ("bernoulli", "gaussian")
        for backend in ("torch", "onnx")
    ]
