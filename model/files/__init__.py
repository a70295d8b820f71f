"""Readers of users' files: arrays, tables and folders of pictures, one a kind."""

from model.files.contents import (
    Contents,
    DataError,
    NotANumberError,
    Origin,
    StoredRows,
)
from model.files.mixed import MixedTable, NoNamesError
from model.files.options import ReadOptions
from model.files.read import SUFFIXES, read, read_for, read_mixed

__all__ = [
    "SUFFIXES",
    "Contents",
    "DataError",
    "MixedTable",
    "NoNamesError",
    "NotANumberError",
    "Origin",
    "ReadOptions",
    "StoredRows",
    "read",
    "read_for",
    "read_mixed",
]
