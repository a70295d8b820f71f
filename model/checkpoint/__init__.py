"""
Checkpoints: the directory a trained model is stored in, its only reader and writer.

`store` reads and writes whole checkpoints; the other modules describe their files.
"""

from model.checkpoint.store import (
    CALIBRATION,
    CARD,
    CONFIG,
    EXAMPLES,
    MANIFEST,
    METRICS,
    WEIGHTS,
    Checkpoint,
    CheckpointError,
    identity,
    load,
    save,
)

__all__ = [
    "CALIBRATION",
    "CARD",
    "CONFIG",
    "EXAMPLES",
    "MANIFEST",
    "METRICS",
    "WEIGHTS",
    "Checkpoint",
    "CheckpointError",
    "identity",
    "load",
    "save",
]
