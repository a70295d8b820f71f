"""The data that adopted networks are measured on."""

from dataclasses import dataclass
from typing import final

from model.data import Dataset
from model.data.preparation import Prepared


@final
@dataclass(frozen=True, eq=False)
class MeasuredData:
    """A data set, and its rows in the form that the networks get."""

    dataset: Dataset
    prepared: Prepared
