"""
Checkpoints: the directory a trained model is stored in, its only reader and writer.

`store` reads and writes whole checkpoints; the other modules describe their files.
"""

from model.checkpoint.files import MANIFEST, CheckpointError
from model.checkpoint.store import (
    CALIBRATION,
    CARD,
    CONFIG,
    DECODER,
    ENCODER,
    EXAMPLES,
    METRICS,
    WEIGHTS,
    Checkpoint,
    identity,
    load,
    save,
    verify,
)

__all__ = [
    "CALIBRATION",
    "CARD",
    "CONFIG",
    "DECODER",
    "ENCODER",
    "EXAMPLES",
    "MANIFEST",
    "METRICS",
    "WEIGHTS",
    "Checkpoint",
    "CheckpointError",
    "identity",
    "load",
    "save",
    "verify",
]
