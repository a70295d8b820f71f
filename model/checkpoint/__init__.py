"""
Checkpoints: the directory a trained model is stored in, its only reader and writer.

`store` reads and writes whole checkpoints; the other modules describe their files. The
store is imported when it is first used, because it needs torch, which takes seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from model.checkpoint.files import CheckpointError, identity, verify
from model.checkpoint.names import CALIBRATION, CARD, ENCODER, EXAMPLES, MANIFEST

__all__ = [
    "CALIBRATION",
    "CARD",
    "ENCODER",
    "EXAMPLES",
    "MANIFEST",
    "Checkpoint",
    "CheckpointError",
    "identity",
    "load",
    "save",
    "verify",
]

if TYPE_CHECKING:
    from model.checkpoint.store import Checkpoint, load, save
else:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__} has no attribute {name}")
        return getattr(import_module("model.checkpoint.store"), name)
