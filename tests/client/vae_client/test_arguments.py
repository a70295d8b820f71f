"""What a caller may pass, and how it is sent."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from vae_client import arguments


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (["1"], TypeError),
        ([1j], TypeError),
        (np.array([None]), TypeError),
        (3.0, ValueError),
        ([[1.0], [1.0, 2.0]], ValueError),
    ],
)
def test_only_arrays_of_numbers_are_accepted(
    values: Any, error: type[Exception]
) -> None:
    """Anything else raises what numpy would raise."""
    with pytest.raises(error):
        arguments.array("x", values)


@pytest.mark.parametrize(
    "read", [lambda v: arguments.array("x", v), arguments.mask_array]
)
def test_rows_of_different_lengths_are_named_as_such(read: Any) -> None:
    """What numpy says of them, an inhomogeneous shape, does not say what to do."""
    with pytest.raises(ValueError, match="or as lists of equal length"):
        read([[1.0], [1.0, 2.0]])


def test_masked_cells_are_not_taken_for_known_ones() -> None:
    """Numpy would forget the mask, and show what lies below it."""
    masked = np.ma.masked_array([1.0, 2.0], [False, True])

    for values in (masked, [masked], [[masked], [masked]]):
        with pytest.raises(ValueError, match="without masked cells; impute takes"):
            arguments.array("x", values)

    whole = np.ma.masked_array([1.0, 2.0])
    assert arguments.array("x", whole).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    "dtype", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "?"]
)
def test_an_array_keeps_its_dtype(dtype: str, order: Any) -> None:
    """Whatever its byte order and its order in memory; the service interprets it."""
    values = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype)
    given = np.asfortranarray(values.astype(values.dtype.newbyteorder(order)))

    for one in (given, [*given]):
        sent = arguments.array("x", one)

        assert sent.dtype == values.dtype
        assert sent.dtype.isnative
        assert sent.flags.c_contiguous
        np.testing.assert_array_equal(sent, values)


@pytest.mark.parametrize("values", [[[0, 1]], [[0.1, 1e300]], ((1,), (2,))])
def test_numbers_without_a_dtype_are_sent_as_json_would_send_them(values: Any) -> None:
    """As float64: an integer of a list is no raw value of some dtype."""
    sent = arguments.array("x", values)

    assert sent.dtype == np.float64
    assert sent.tolist() == [list(row) for row in values]


def test_pictures_keep_their_dtype() -> None:
    """Those of Pillow are arrays of uint8, which the service divides by 255."""
    pictures: Any = [Image.new("L", (2, 2), level) for level in (0, 1)]

    sent = arguments.array("x", pictures)

    assert sent.dtype == np.uint8
    assert sent[:, 0, 0].tolist() == [0, 1]


def test_longer_floats_are_rounded_to_float64() -> None:
    """No format has them."""
    assert arguments.array("x", np.ones((1, 2), np.longdouble)).dtype == np.float64


def test_a_mask_stays_boolean_or_numbers() -> None:
    """Booleans take a byte each; numbers that are neither 0 nor 1 are not hidden."""
    assert arguments.mask_array([[True, False]]).dtype == np.bool_
    assert arguments.mask_array([[0, 2]]).tolist() == [[0.0, 2.0]]


def test_options_are_sent_as_the_service_reads_them() -> None:
    """None is not sent; booleans are lower case; numpy's scalars are numbers."""
    query = arguments.query(
        {
            "n_samples": np.int64(3),  # type: ignore[dict-item]  # what callers may have
            "target": np.float64(0.5),
            "upper": True,
            "binarize": None,
            "draw": "mean",
            "budget": 8192,
        }
    )

    assert query == (
        ("n_samples", "3"),
        ("target", "0.5"),
        ("upper", "true"),
        ("draw", "mean"),
        ("budget", "8192"),
    )


def test_dimensions_are_integers() -> None:
    """They are joined by commas; a float is an error."""
    assert arguments.dims_text(None) is None
    assert arguments.dims_text([np.int64(3), 0]) == "3,0"  # type: ignore[list-item]  # what callers may have
    with pytest.raises(TypeError):
        arguments.dims_text([1.5])  # type: ignore[list-item]  # the error is the point


def test_random_seeds_differ_and_fit_into_a_double() -> None:
    """A seed that is passed is kept, 0 too."""
    seeds = {arguments.seed_or_random(None) for _ in range(100)}

    assert len(seeds) == 100
    assert max(seeds) < 2**53
    assert arguments.seed_or_random(0) == 0
    with pytest.raises(TypeError):
        arguments.seed_or_random(1.0)  # type: ignore[arg-type]  # the error is the point
