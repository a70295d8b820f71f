"""Data to train on: named sets and users' files, read, checked and split."""

from model.data.dataset import DataError, Dataset, Split
from model.data.load import NAMES, load

__all__ = ["NAMES", "DataError", "Dataset", "Split", "load"]
