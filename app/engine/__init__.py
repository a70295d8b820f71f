"""The model in memory: arrays of rows in, arrays of rows out. All of torch is here."""

from app.engine.arrays import Array, Decoding, Encoding, Scores
from app.engine.backends import Backend, EngineError
from app.engine.engine import TILE, Engine

__all__ = [
    "TILE",
    "Array",
    "Backend",
    "Decoding",
    "Encoding",
    "Engine",
    "EngineError",
    "Scores",
]
