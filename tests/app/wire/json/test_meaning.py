"""Numbers in JSON are standardized and checked alike in short and long bodies."""

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from app.errors import UnprocessableError
from app.wire.json import pieces
from app.wire.json.rows import JsonRows
from app.wire.layout import Layout
from app.wire.masked import MaskedRows
from model.raw_values import PLAIN, RawValues
from model.units import Units

DRAW = np.random.default_rng(0)
UNIT = RawValues(255.0, {"uint8": 255.0}, (0.0, 1.0))
# Rows that are short, longer than a piece, and in the shape of an image.
SHAPES: list[tuple[int, tuple[int, ...]]] = [
    (3, (3,)),
    (9000, (3,)),
    (2, (40_000,)),
    (2, (200, 200)),
]


def units(shape: tuple[int, ...]) -> Units:
    """Return units of any size."""
    d = int(np.prod(shape))
    return Units(1e9 * DRAW.standard_normal(d), 10.0 ** DRAW.uniform(-9, 9, d))


def read(layout: Layout, x: Any) -> Any:
    """Return the rows of a body with x."""
    body = json.dumps({"x": x.tolist()}).encode()
    return asyncio.run(JsonRows(layout).read(body)).rows


@pytest.mark.parametrize(("n", "shape"), SHAPES)
def test_rows_are_standardized_from_float64(n: int, shape: tuple[int, ...]) -> None:
    """To the bit as arrays are, however the body is cut."""
    given = units(shape)
    layout = Layout("x", shape, 10_000, PLAIN, given)
    x = given.mean(DRAW.standard_normal((n, layout.dim)))
    long = len(json.dumps(x.tolist())) > pieces.PIECE_BYTES

    found = read(layout, x.reshape(n, *shape))

    np.testing.assert_array_equal(found.values, given.standardize(x))
    assert found.values.dtype == np.float32
    assert long == (n * layout.dim > 1000)


@pytest.mark.parametrize(("n", "shape"), SHAPES)
def test_a_value_outside_the_range_is_found_in_any_body(
    n: int, shape: tuple[int, ...]
) -> None:
    """Its pointer is that of the body."""
    layout = Layout("x", shape, 10_000, UNIT)
    x = DRAW.random((n, *shape))
    place = (n - 1, *(size - 2 for size in shape))
    x[place] = 17.5

    with pytest.raises(UnprocessableError) as refused:
        read(layout, x)

    (fault,) = refused.value.faults
    assert fault.pointer == "/x/" + "/".join(map(str, place))
    assert "expected a value in [0, 1], got 17.5; looks like 0-255" in fault.detail


@pytest.mark.parametrize(("n", "shape"), SHAPES)
def test_a_value_too_far_from_the_training_rows_is_found_in_any_body(
    n: int, shape: tuple[int, ...]
) -> None:
    """It would overflow once it is standardized."""
    given = units(shape)
    layout = Layout("x", shape, 10_000, PLAIN, given)
    x = given.mean(DRAW.standard_normal((n, layout.dim))).reshape(n, *shape)
    place = (n - 1, *(size - 1 for size in shape))
    x[place] = 1e300

    with pytest.raises(UnprocessableError) as refused:
        read(layout, x)

    assert refused.value.faults[0].pointer == "/x/" + "/".join(map(str, place))


@pytest.mark.parametrize("raw", [PLAIN, UNIT])
@pytest.mark.parametrize("n", [2, 9000])
def test_missing_values_may_be_any_number(n: int, raw: RawValues) -> None:
    """They are neither checked nor standardized; known ones are."""
    given = None if raw is UNIT else units((3,))
    layout = Layout("x", (3,), 10_000, raw, given)
    x = DRAW.random((n, 3))
    known = DRAW.random((n, 3)) < 0.5
    hidden = np.where(known, x, 1e30)
    body = json.dumps({"x": hidden.tolist(), "mask": known.astype(int).tolist()})

    masked, _ = asyncio.run(MaskedRows(layout).read_json(body.encode()))

    wanted = x.astype(np.float32) if given is None else given.standardize(x)
    np.testing.assert_array_equal(masked.x.values, np.where(known, wanted, 0))
    np.testing.assert_array_equal(masked.observed, known)
    if given is not None:
        assert masked.sent is not None
        np.testing.assert_array_equal(masked.sent[known], x[known])
