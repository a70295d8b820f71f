"""The proof of batch invariance finds what breaks it."""

from collections import Counter
from collections.abc import Sequence
from time import sleep

import numpy as np
import pytest

from model.engine.arrays import Array
from model.engine.invariance import Tiling, independent_tiling, whole_vectors

X = np.random.default_rng(0).random((128, 3), np.float32)


def test_an_independent_function_needs_no_padding() -> None:
    """Rows that are computed one by one are proved independent as they are."""
    tiling = independent_tiling(lambda _, arrays: [2 * arrays[0]], [X])

    assert tiling == Tiling(128, 1)


@pytest.mark.parametrize("least", [2, 8, 32])
def test_a_function_that_needs_a_height_is_padded(least: int) -> None:
    """A library that rounds otherwise below some multiple gets that multiple."""

    def tiled(tiling: Tiling, arrays: Sequence[Array]) -> list[Array]:
        height = len(arrays[0]) + -len(arrays[0]) % tiling.padding
        return [arrays[0] + (height % least != 0)]

    assert independent_tiling(tiled, [X]) == Tiling(128, least)


@pytest.mark.parametrize("one_in", [5, 10])
def test_a_function_that_seldom_needs_a_height_is_padded(one_in: int) -> None:
    """Below four rows some rows, wherever they are, are rounded otherwise."""
    is_odd = np.random.default_rng(1).permutation(128) % one_in == 0
    odd = {row.tobytes() for row in X[is_odd]}

    def tiled(tiling: Tiling, arrays: Sequence[Array]) -> list[Array]:
        height = len(arrays[0]) + -len(arrays[0]) % tiling.padding
        differs = [height < 4 and row.tobytes() in odd for row in arrays[0]]
        return [arrays[0] + np.array(differs)[:, None]]

    assert independent_tiling(tiled, [X]) == Tiling(128, 4)


def test_a_busy_machine_does_not_shorten_the_test() -> None:
    """Time in which others compute does not make a function a slow one."""
    odd = {row.tobytes() for row in X[5::10]}

    def tiled(tiling: Tiling, arrays: Sequence[Array]) -> list[Array]:
        n = len(arrays[0])
        if n == len(X):
            sleep(0.03)  # more than what a short test is for
        differs = [
            n + -n % tiling.padding < 4 and r.tobytes() in odd for r in arrays[0]
        ]
        return [arrays[0] + np.array(differs)[:, None]]

    assert independent_tiling(tiled, [X]) == Tiling(128, 4)


def test_a_function_of_the_position_is_computed_row_by_row() -> None:
    """A library that treats the rows of a tile differently gets one at a time."""

    def tiled(tiling: Tiling, arrays: Sequence[Array]) -> list[Array]:
        position = np.arange(len(arrays[0])) % tiling.height
        return [arrays[0] + position[:, None]]

    assert independent_tiling(tiled, [X]) == Tiling(1, 1)


def test_a_function_of_the_batch_is_found_out() -> None:
    """A function that mixes rows has no tiling that helps."""
    assert independent_tiling(lambda _, a: [a[0] - a[0].mean()], [X]) is None


def test_values_are_compared_where_bits_differ() -> None:
    """Zeros of either sign are equal, and so is NaN whatever its payload."""
    bits = np.array([0, 0x7FC00001], np.uint32)

    def tiled(_: Tiling, arrays: Sequence[Array]) -> list[Array]:
        is_part = np.uint32(len(arrays[0]) < 128)
        rows = np.tile(bits ^ (is_part << 31), (len(arrays[0]), 1))
        return [rows.view(np.float32)]

    assert independent_tiling(tiled, [X]) == Tiling(128, 1)


@pytest.mark.parametrize(
    ("width", "rows"), [(784, 2), (64, 1), (20, 8), (5, 32), (12288, 1)]
)
def test_rows_that_fill_vectors(width: int, rows: int) -> None:
    """That many rows leave no remainder for the scalar code of elementwise loops."""
    assert whole_vectors(width) == rows


@pytest.mark.parametrize("tiling", [Tiling(128, 1), Tiling(128, 8), Tiling(1, 1)])
def test_each_padded_height_is_tested_once_with_many_rows(tiling: Tiling) -> None:
    """64 rows of each are enough, however many heights are padded to it."""
    n_rows: Counter[int] = Counter()
    n_calls: Counter[int] = Counter()

    def tiled(asked: Tiling, arrays: Sequence[Array]) -> list[Array]:
        n = len(arrays[0])
        if asked == tiling:
            n_rows[n + -n % asked.padding] += n
            n_calls[n] += 1
        return [arrays[0] + (asked != tiling) * n]

    independent_tiling(tiled, [X], at_least=tiling.padding)

    del n_rows[128]
    heights = {n + -n % tiling.padding for n in n_calls if n < 128}
    assert len(n_calls) == len(heights) + 1
    assert min(n_rows.values()) >= 60
    assert max(n_rows.values()) <= 4 * 65
