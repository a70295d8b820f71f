"""The division of rows into train, validation and test."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from model.data.dataset import Dataset, Split, sha256
from model.files import DataError
from model.raw_values import RawValues
from model.tables.schema import TableSchema

# The second word of the Philox key: two choices made with one seed are independent.
_TEST, _VALIDATION = 1, 2


@final
@dataclass(frozen=True, eq=False)
class Parts:
    """
    Rows to divide, and those splits that the data come with.

    Attributes:
        name: As in Dataset.
        rows: Training rows; missing splits are taken from them.
        source: Where the rows came from, the first half of a sentence.
        background, turned_gray, notes, table: As in Dataset.
    """

    name: str
    rows: Split
    data_shape: tuple[int, ...]
    raw: RawValues
    source: str
    validation: Split | None = None
    test: Split | None = None
    background: float | None = None
    turned_gray: bool = False
    notes: tuple[str, ...] = ()
    table: TableSchema | None = None


def divide(parts: Parts, *, n_validation: int, n_test: int, seed: int) -> Dataset:
    """
    Take missing splits from the rows; the remaining rows are for training.

    The test rows are selected by a constant, so that models trained with different
    seeds have the same test set; the validation rows are selected by the seed.

    Raises:
        DataError: No row would be left for training.
    """
    train, validation, test = parts.rows, parts.validation, parts.test
    source = [parts.source]
    n_taken = (n_test if test is None else 0) + (
        n_validation if validation is None else 0
    )
    if n_taken >= len(train.x):
        raise DataError(
            f"{train.origin.file}: {len(train.x)} rows are too few for splits that take"
            f" {n_taken} of them and leave at least one to train on"
        )
    if test is None:
        test, train = _choose(train, n_test, key=(0, _TEST))
        source.append(f"{n_test} test rows chosen at random, the same for all seeds")
    if validation is None:
        validation, train = _choose(train, n_validation, key=(seed, _VALIDATION))
        source.append(f"{n_validation} validation rows chosen with seed {seed}")
    return Dataset(
        name=parts.name,
        data_shape=parts.data_shape,
        train=train,
        validation=validation,
        test=test,
        raw=parts.raw,
        sha256=sha256((train, validation, test)),
        source="; ".join(source),
        columns=parts.rows.origin.columns,
        background=parts.background,
        turned_gray=parts.turned_gray,
        notes=parts.notes,
        table=parts.table,
    )


def _choose(split: Split, n: int, *, key: tuple[int, int]) -> tuple[Split, Split]:
    order = _permutation(len(split.x), key)
    # Sorted, so that rows keep the order of the file.
    return split.take(np.sort(order[:n])), split.take(np.sort(order[n:]))


def _permutation(n: int, key: tuple[int, int]) -> NDArray[np.int64]:
    # NumPy guarantees the raw stream of Philox for all versions, but not permutation().
    stream = np.random.Philox(key=np.array(key, dtype=np.uint64))
    order: NDArray[np.int64] = np.argsort(stream.random_raw(n), kind="stable")
    return order
