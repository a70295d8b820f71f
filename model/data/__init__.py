"""Data to train on: named sets and users' files, checked and split."""

from model.data.dataset import Dataset, Split
from model.data.load import (
    NAMES,
    load,
    read_numbers,
    read_numbers_or_table,
    read_table,
)
from model.files import DataError

__all__ = [
    "NAMES",
    "DataError",
    "Dataset",
    "Split",
    "load",
    "read_numbers",
    "read_numbers_or_table",
    "read_table",
]
