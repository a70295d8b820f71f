"""The model in memory: arrays of rows in, arrays of rows out. All of torch is here."""

from model.engine.arrays import Array, Decoding, Encoding, Scores
from model.engine.backends import Backend, EngineError
from model.engine.engine import TILE, Engine
from model.engine.memory import is_out_of_memory

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
