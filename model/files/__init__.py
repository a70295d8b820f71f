"""Readers of users' files: arrays, tables and folders of pictures, one a kind."""

from model.files.contents import Contents, DataError, Origin, Rows
from model.files.options import ReadOptions
from model.files.read import SUFFIXES, read

__all__ = ["SUFFIXES", "Contents", "DataError", "Origin", "ReadOptions", "Rows", "read"]
