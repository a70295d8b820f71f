"""
The engine: a loaded model that maps arrays of rows to arrays of rows.

The service computes through it and imports no torch itself.
"""

from model.engine.arrays import (
    AnyArray,
    Array,
    CellArrays,
    Decoding,
    Draws,
    Encoding,
    RowScores,
)
from model.engine.backends import Backend, EngineError
from model.engine.engine import TILE, Engine
from model.engine.memory import is_out_of_memory

__all__ = [
    "TILE",
    "AnyArray",
    "Array",
    "Backend",
    "CellArrays",
    "Decoding",
    "Draws",
    "Encoding",
    "Engine",
    "EngineError",
    "RowScores",
    "is_out_of_memory",
]
