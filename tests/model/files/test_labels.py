"""Labels of examples as classes; what is no labels is passed over."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.files import labels


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        (["7", "-3"], [7, -3]),
        (["b", "a"], [1, 0]),
        (["99999999999999999999", "1"], [1, 0]),
    ],
)
def test_texts_are_classes(cells: list[str], wanted: list[int]) -> None:
    """Integers that 64 bits hold are themselves; other texts are numbered in order."""
    found, _ = labels.of_texts(cells, name="y")

    assert found is not None
    assert found.tolist() == wanted


@pytest.mark.parametrize("dtype", [np.uint64, np.float64])
def test_numbers_that_64_bits_do_not_hold_are_no_classes(dtype: type) -> None:
    """They are passed over with a sentence, and not wrapped to negative ones."""
    values: NDArray[Any] = np.array([2**63 + 4096, 1], dtype)

    found, words = labels.classes(values, n=2, name="y")

    assert found is None
    assert words is not None
    assert words.startswith("y is passed over: expected a class for each of 2 rows")
