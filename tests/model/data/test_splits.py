"""Splits: disjoint, complete, and fixed by the seed."""

import dataclasses

import numpy as np
import pytest

from model.data.dataset import Dataset, split_of
from model.data.splits import Parts, divide
from model.files import DataError, Origin
from model.raw_values import PLAIN


def parts(n: int) -> Parts:
    """Return n rows whose values are their row numbers."""
    rows = split_of(np.arange(n).reshape(n, 1), origin=Origin("x.npy"))
    return Parts("x", rows, (1,), PLAIN, "the array in x.npy")


def hundred(seed: int) -> Dataset:
    """Split 100 rows 70/20/10."""
    return divide(parts(100), n_validation=20, n_test=10, seed=seed)


def test_every_row_is_in_exactly_one_split() -> None:
    """The three splits are disjoint, leave nothing out, and keep the file's order."""
    dataset = hundred(seed=1)

    rows = [split.rows for split in dataset.splits]

    assert [len(part) for part in rows] == [70, 20, 10]
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(100))
    for split in dataset.splits:
        np.testing.assert_array_equal(split.x[:, 0], split.rows)
        assert np.all(np.diff(split.rows) > 0)


def test_the_test_rows_do_not_move_with_the_seed() -> None:
    """Another seed chooses other validation rows and the same test rows."""
    a, b = hundred(seed=1), hundred(seed=2)

    assert a.test.rows.tolist() == b.test.rows.tolist()
    assert a.validation.rows.tolist() != b.validation.rows.tolist()
    assert a.sha256 != b.sha256
    assert "20 validation rows chosen with seed 2" in b.source


def test_splits_are_the_same_on_every_machine() -> None:
    """The chosen rows are pinned: a change would make old checkpoints incomparable."""
    dataset = divide(parts(10), n_validation=2, n_test=3, seed=2**63 - 1)

    assert dataset.test.rows.tolist() == [3, 5, 7]
    assert dataset.validation.rows.tolist() == [2, 6]


def test_rows_are_chosen_evenly() -> None:
    """
    Over many seeds each row is in validation about equally often.

    Each count is Binomial(500, 2/9): five standard deviations are 46.
    """
    counts = np.zeros(10)

    for seed in range(500):
        chosen = divide(parts(10), n_validation=2, n_test=1, seed=seed)
        counts[chosen.validation.rows] += 1

    fixed = divide(parts(10), n_validation=2, n_test=1, seed=0).test.rows[0]
    assert counts[fixed] == 0
    assert np.abs(np.delete(counts, fixed) - 500 * 2 / 9).max() < 46


def test_splits_that_came_with_the_data_are_left_alone() -> None:
    """Only the missing split is taken from the rows."""
    given = dataclasses.replace(parts(10), test=parts(4).rows)

    dataset = divide(given, n_validation=3, n_test=99, seed=0)

    assert [len(split.x) for split in dataset.splits] == [7, 3, 4]
    assert dataset.test is given.test


def test_too_few_rows_are_refused() -> None:
    """At least one row must be left to train on."""
    divide(parts(3), n_validation=1, n_test=1, seed=0)

    with pytest.raises(DataError, match=r"x.npy: 2 rows are too few"):
        divide(parts(2), n_validation=1, n_test=1, seed=0)
