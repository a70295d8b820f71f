"""Arrays of numbers: orjson gives what simdjson gives, and refuses what it refuses."""

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.wire import doubles
from app.wire.doubles import OrjsonParser
from app.wire.json.rows import JsonRows
from app.wire.layout import Layout
from tests.unhurried import UNHURRIED

needs_simdjson = pytest.mark.skipif(
    not doubles.HAS_SIMDJSON, reason="simdjson is absent"
)
REFUSED = "refused"

numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(
    allow_nan=False, allow_infinity=False
)
others = st.sampled_from([True, None, "1", {"a": 1}])
arrays = st.recursive(st.lists(numbers), lambda inner: st.lists(inner, max_size=4))
anything = st.recursive(
    st.lists(numbers | others, max_size=4), lambda inner: st.lists(inner, max_size=3)
)


def lengths(array: Any) -> Any:
    """Return the lengths of an array and of those in it, or 0 for another value."""
    if not hasattr(array, "as_buffer"):
        return 0
    return [len(array), *map(lengths, array)]


def parsed(parser: doubles.Parser, text: bytes) -> Any:
    """Return the numbers and the lengths of an array; say if it is refused."""
    try:
        array = parser.parse(text)
        values = np.frombuffer(array.as_buffer(of_type="d"), np.float64)
    except doubles.REFUSALS:
        return REFUSED
    return values.tolist(), lengths(array)


@needs_simdjson
@UNHURRIED
@given(arrays)
def test_nested_arrays_of_numbers_are_the_same(values: list[Any]) -> None:
    """Both give the same doubles, and arrays of the same lengths."""
    text = json.dumps(values).encode()

    found = parsed(OrjsonParser(), text)

    assert found == parsed(doubles.parser(), text)
    assert found != REFUSED


@needs_simdjson
@UNHURRIED
@given(anything)
def test_other_values_are_refused_by_both(values: list[Any]) -> None:
    """What one refuses the other refuses too, unless numbers lie among arrays."""
    text = json.dumps(values).encode()

    found, wanted = parsed(OrjsonParser(), text), parsed(doubles.parser(), text)

    assert found in (wanted, REFUSED)


@needs_simdjson
@pytest.mark.parametrize(
    "text",
    [
        *("[", "[1", "[1,]", "[01]", "[1.]", "[+1]", "[.5]", "[1]]", "[1]2", "[1,,2]"),
        *("[NaN]", "[Infinity]", "[-]", "[1e400]", "[true]", "[null]", '["1"]'),
    ],
)
def test_faulty_texts_are_refused_by_both(text: str) -> None:
    """Neither takes a text that is no array of numbers."""
    assert parsed(OrjsonParser(), text.encode()) == REFUSED
    assert parsed(doubles.parser(), text.encode()) == REFUSED


def test_a_body_is_read_without_simdjson(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are read, and shaped rows are recognized, with orjson alone."""
    monkeypatch.setattr(doubles, "parser", OrjsonParser)
    monkeypatch.setattr(doubles, "ARRAY", doubles.OrjsonArray)
    rows = JsonRows(Layout("x", (2, 2), max_rows=8))

    flat = asyncio.run(rows.read(b'{"x": [[1, 2.5, -3e-2, 4]], "seed": 7}'))
    shaped = asyncio.run(rows.read(b'{"x": [[[1, 2.5], [-3e-2, 4]]]}'))

    assert flat.rows.values.tolist() == shaped.rows.values.tolist()
    assert np.allclose(flat.rows.values, [[1, 2.5, -0.03, 4]])
    assert (flat.rows.shaped, shaped.rows.shaped) == (False, True)
    assert flat.scalars == {"seed": 7}
