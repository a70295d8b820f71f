"""Data to train on: named sets and users' files, checked and split."""

from model.data.dataset import Dataset, Split
from model.data.load import NAMES, load
from model.files import DataError

__all__ = ["NAMES", "DataError", "Dataset", "Split", "load"]
