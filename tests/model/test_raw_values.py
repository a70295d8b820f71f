"""An array has one meaning, whatever its dtype, byte order and memory order are."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.data_config import PIXELS
from model.raw_values import PLAIN, RawValues, TwoReadingsError

PICTURES = RawValues(255.0, PIXELS, (0.0, 1.0))
SIXTEENTHS = RawValues(16.0, {"uint8": 16.0}, (0.0, 1.0))
INTEGERS = [f"{kind}{8 * n}" for kind in ("int", "uint") for n in (1, 2, 4, 8)]
FLOATS = ["float16", "float32", "float64"]
RAW = np.array([[0, 1, 2], [3, 100, 127]])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_numbers_are_x_themselves_unless_they_are_divided(
    dtype: str, order: Any
) -> None:
    """In either byte order; float32 where that is exact, else float64."""
    values = RAW.astype(np.dtype(dtype).newbyteorder(order))

    x = PLAIN.x_of(values)

    np.testing.assert_array_equal(x, RAW)
    assert x.dtype in (np.float32, np.float64)
    assert x.dtype.isnative
    narrow = np.dtype(dtype).itemsize < 4 or dtype == "float32"
    assert x.dtype == (np.float32 if narrow else np.float64)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_pixels_are_divided_by_the_largest_of_their_dtype(
    dtype: str, order: Any
) -> None:
    """To the nearest float32, in Fortran order too."""
    most = np.iinfo(dtype).max
    raw = np.arange(0, most + 1, most // 255).reshape(16, 16)
    values = np.asfortranarray(raw.astype(np.dtype(dtype).newbyteorder(order)))

    x = PICTURES.x_of(values)

    np.testing.assert_array_equal(x, (raw / most).astype(np.float32))
    assert x.dtype == np.float32


def test_every_integer_survives_exactly() -> None:
    """Float32 would round Unix time in microseconds, and ids."""
    values = np.array([[1_700_000_000_123_456, 16_777_217]])

    assert PLAIN.x_of(values).tolist() == values.tolist()


@pytest.mark.parametrize("raw", [PLAIN, PICTURES, SIXTEENTHS])
def test_booleans_and_floats_are_never_divided(raw: RawValues) -> None:
    """Not even by a model of bytes."""
    for values in (np.array([[True, False]]), np.array([[1.0, 0.0]], np.float16)):
        assert raw.x_of(values).tolist() == [[1, 0]]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("raw", [PICTURES, SIXTEENTHS])
def test_integers_of_only_0_and_1_have_two_readings(raw: RawValues, dtype: str) -> None:
    """Both are named; zeros alone mean the same in both, and so does a 2 among them."""
    values = np.array([[0, 1, 1]], dtype)

    with pytest.raises(TwoReadingsError) as refused:
        raw.x_of(values)

    for words in (f"{dtype} with only 0 and 1", "bool or float", "divided by"):
        assert words in str(refused.value)
    assert (raw.x_of(np.zeros((1, 3), dtype)) == 0).all()
    raw.x_of(np.array([[0, 1, 2]], dtype))
    many = np.zeros(200_000, dtype)
    many[-1] = 2
    raw.x_of(many)
    many[-1] = 1
    with pytest.raises(TwoReadingsError):
        raw.x_of(many)
    assert PLAIN.x_of(values).tolist() == [[0, 1, 1]]


@pytest.mark.parametrize(
    ("dtype", "shape", "divided_by"),
    [
        ("uint8", (2, 3, 3), 255),
        (">u2", (2, 3, 3), 65_535),
        ("uint8", (2, 3, 3, 3), 255),
        ("uint8", (2, 9), 1),
        ("int64", (2, 3, 3), 1),
        ("bool", (2, 3, 3), 1),
        ("float32", (2, 3, 3), 1),
    ],
)
def test_unsigned_bytes_and_words_with_axes_of_an_image_are_pixels(
    dtype: str, shape: tuple[int, ...], divided_by: float
) -> None:
    """As training reads a file."""
    raw = RawValues.of_file(np.zeros(shape, dtype))

    assert raw.divided_by == divided_by
    assert raw.value_range == (None if divided_by == 1 else (0, 1))


INSIDE = [0.0, -0.0, 1e-45, 0.5, 1.0, 1 + 1e-9]
OUTSIDE = [-1e-30, 1.0000002, 255.0, -5.0, 1e6, np.inf, -np.inf, np.nan, 1e300, -1e300]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 2.0)])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_value_outside_the_range_is_found_where_it_is(
    size: int, value_range: tuple[float, float], dtype: Any
) -> None:
    """One past the range counts when it is past it as float32; so does NaN."""
    raw = RawValues(1.0, {}, value_range)
    low, high = value_range
    x: NDArray[Any] = np.linspace(0, 1, size).astype(dtype)

    with np.errstate(over="ignore"):
        for value in [*INSIDE, *OUTSIDE]:
            for i in {0, size // 2, size - 1}:
                x[i] = value
                inside = low <= np.float32(value) <= high
                assert raw.first_outside(x) == (None if inside else i), value
                x[i] = 0.5


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ([0.0, 17.0, 255.0], "looks like 0-255: send uint8, or divide by 255"),
        ([0.0, 4095.0], "looks like 0-65535: send uint16, or divide by 65535"),
        ([-1.0, 0.3, 1.0], "looks like -1 to 1: add 1 and divide by 2"),
        ([-0.01, 0.3, 1.0], ""),
        ([0.0, 1.01], ""),
        ([-5.0, 3.0], ""),
        ([0.0, 1e6], ""),
        ([np.nan], ""),
    ],
)
def test_the_likely_cause_is_named(values: list[float], cause: str) -> None:
    """By the range of all values."""
    assert PICTURES.likely_cause(np.array(values)) == cause
