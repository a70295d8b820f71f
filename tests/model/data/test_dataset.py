"""Rows in memory: checked, flattened, traceable to their file, and hashed."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from model.data.dataset import Dataset, Split, sha256, split_of
from model.files import DataError, Origin
from model.raw_values import PLAIN, RawValues

ORIGIN = Origin("x.npy")
PICTURES = np.zeros((1, 2, 2), np.uint8)


def split(x: Any) -> Split:
    """Return a split of the array."""
    return split_of(np.asarray(x), origin=ORIGIN)


@pytest.mark.parametrize("shape", [(2, 12), (2, 3, 4), (2, 3, 2, 2)])
def test_examples_are_flattened_in_c_order(shape: tuple[int, ...]) -> None:
    """Fortran order in the file does not scramble the pixels."""
    array = np.asfortranarray(np.arange(24, dtype=np.float32).reshape(shape))

    x = split(array).x

    np.testing.assert_array_equal(x, np.arange(24).reshape(2, 12))
    assert x.dtype == np.float32
    assert x.flags.c_contiguous


def test_division_of_bytes_is_exactly_rounded() -> None:
    """Every k / 255 is the float32 nearest to it, 0 and 1 included."""
    array = np.arange(256, dtype=np.uint8).reshape(1, 256)

    x = split_of(array, origin=ORIGIN, raw=RawValues.of_file(PICTURES)).x

    np.testing.assert_array_equal(x[0], (np.arange(256) / 255).astype(np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named(value: float) -> None:
    """The error names file, row, position and value."""
    array = np.zeros((5, 2, 3))
    array[3, 1, 2] = value

    with pytest.raises(DataError) as caught:
        split(array)

    assert f"row 3 of x.npy, position [1, 2] holds {value}" in str(caught.value)


def test_the_first_bad_value_is_the_one_named() -> None:
    """With several faults the error names the first in the order of the file."""
    array = np.zeros((5, 2))
    array[4, 0] = array[2, 1] = np.nan

    with pytest.raises(DataError, match=r"row 2 of x.npy, position \[1\] holds nan"):
        split(array)


@pytest.mark.parametrize("shape", [(), (3,), (0, 3), (3, 0), (3, 0, 2)])
def test_shapes_without_rows_and_columns_are_refused(shape: tuple[int, ...]) -> None:
    """The error says which shape was wanted and which came."""
    with pytest.raises(DataError) as caught:
        split(np.zeros(shape))

    assert str(caught.value).startswith("x.npy: expected shape (N, D)")
    assert str(caught.value).endswith(f"got {shape}")
    assert ("x[None] a row" in str(caught.value)) == (len(shape) == 1)


@pytest.mark.parametrize("dtype", ["complex64", "U3", "S3", "M8[s]", "f4,f4"])
def test_dtypes_that_are_not_real_numbers_are_refused(dtype: str) -> None:
    """Complex numbers, text, dates and records are not data for a density."""
    with pytest.raises(DataError, match=r"x.npy: expected numbers, got dtype") as found:
        split(np.zeros((2, 2), dtype=dtype))

    assert ("structured_to_unstructured" in str(found.value)) == (dtype == "f4,f4")


@pytest.mark.parametrize(
    "labels", [np.zeros(2, int), np.zeros((3, 1), int), np.zeros(3)]
)
def test_labels_are_one_integer_per_row(labels: np.ndarray[Any, Any]) -> None:
    """A wrong number, shape or type of labels is refused."""
    with pytest.raises(DataError, match=r"labels of x.npy: expected 3 integers"):
        split_of(np.zeros((3, 2)), origin=ORIGIN, labels=labels)


@pytest.mark.parametrize(
    ("origin", "place"),
    [
        (Origin("x.npy"), "row 1 of x.npy, position [2]"),
        (Origin("t.csv", "line"), "line 1 of t.csv, column 3"),
        (Origin("t.csv", "line", ("a", "b", "c")), "line 1 of t.csv, column 'c'"),
        (
            Origin("faces", "image", images=("a.png", "b.png")),
            "image 'b.png' of faces, position [2]",
        ),
    ],
)
def test_a_place_is_told_in_the_words_of_the_file(origin: Origin, place: str) -> None:
    """Rows of arrays, lines and columns of tables, and images by name."""
    assert origin.value(1, (2,)) == place


def test_locate_follows_rows_through_splits() -> None:
    """A value of a split is located where the file has it, not where the split does."""
    whole = split(np.arange(24).reshape(4, 2, 3))
    dataset = Dataset(
        name="x",
        data_shape=(2, 3),
        train=whole.take(np.array([3, 1])),
        validation=whole.take(np.array([0])),
        test=whole.take(np.array([2])),
        raw=PLAIN,
        sha256="",
        source="",
    )

    place = dataset.locate(dataset.train, 0, 5)

    assert place == "row 3 of x.npy, position [1, 2]"
    assert dataset.train.x[0, 5] == 23


def test_take_keeps_labels_and_rows_together() -> None:
    """Rows, labels and examples are chosen by one index."""
    whole = split_of(np.arange(8).reshape(4, 2), origin=ORIGIN, labels=np.arange(4))

    chosen = whole.take(np.array([2, 0]))

    assert chosen.labels is not None
    np.testing.assert_array_equal(chosen.x, [[4, 5], [0, 1]])
    np.testing.assert_array_equal(chosen.labels, [2, 0])
    np.testing.assert_array_equal(chosen.rows, [2, 0])


def test_the_hash_is_of_shape_and_values_alone() -> None:
    """Equal arrays hash equally; another value, shape, order or cut does not."""
    a, b = split(np.arange(6).reshape(3, 2)), split(np.arange(6).reshape(2, 3))
    changed = split([[0, 1], [2, 3], [4, np.nextafter(np.float32(5), 6)]])
    cut = [a.take(slice(0, 1)), a.take(slice(1, 3))]

    hashes = [sha256(splits) for splits in ([a], [b], [changed], [a, b], [b, a], cut)]

    assert len(set(hashes)) == len(hashes)
    assert sha256([a]) == sha256([split(np.arange(6.0).reshape(3, 2))])
    assert sha256([a]) == sha256([dataclasses.replace(a, rows=a.rows + 7)])
