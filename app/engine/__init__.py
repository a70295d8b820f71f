"""The model in memory: arrays of rows in, arrays of rows out. All of torch is here."""

from app.engine.arrays import Array, Decoding, Encoding, Scores
from app.engine.backends import Backend, EngineError
from app.engine.engine import TILE, Engine
from app.engine.memory import is_out_of_memory

__all__ = [
    "TILE",
    "Array",
    "Backend",
    "Decoding",
    "Encoding",
    "Engine",
    "EngineError",
    "Scores",
    "is_out_of_memory",
]
