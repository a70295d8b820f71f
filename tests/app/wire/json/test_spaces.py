"""Long bodies with much white space: found and read, in steps of bounded size."""

import asyncio
import json

import numpy as np
import pytest

from app.errors import UnprocessableError
from app.wire.json.rows import JsonRows
from app.wire.json.spaces import STEP_BYTES, cut
from app.wire.layout import Layout

X = np.arange(6, dtype=np.float32).reshape(2, 3)
LAYOUT = Layout("x", (3,), 10)
MANY = b" \t\r\n" * (STEP_BYTES // 2)
PLACES = {
    "before the object": b"%(s)b{%(x)b}",
    "before the key": b"{%(s)b%(x)b}",
    "after the array": b"{%(x)b%(s)b}",
    "after the object": b"{%(x)b}%(s)b",
    "everywhere": b"%(s)b{%(s)b%(x)b%(s)b}%(s)b",
    "before another member": b'{%(x)b,%(s)b"seed":%(s)b3}',
}


@pytest.mark.parametrize("place", PLACES)
def test_a_body_is_read_whatever_the_white_space(place: str) -> None:
    """The rows and the other members are those of the same body without it."""
    array = b'"x":' + json.dumps(X.tolist()).encode()
    body = PLACES[place] % {b"s": MANY, b"x": array}

    parsed = asyncio.run(JsonRows(LAYOUT).read(body))

    np.testing.assert_array_equal(parsed.rows.values, X)
    assert dict(parsed.scalars) == {
        name: value for name, value in json.loads(body).items() if name != "x"
    }


@pytest.mark.parametrize(
    "body",
    [
        b'{"x":[[1,2,3]]%b' % MANY,
        b'{"x":[[1,2,3]]%b}}' % MANY,
        b'{"y":%b[[1,2,3]]}' % MANY,
        b'{"x":[[1,2,3]],%b"x":1}' % MANY,
        MANY,
        b"[" + MANY,
        MANY + b"]",
    ],
    ids=["no end", "two ends", "another key", "a key twice", "empty", "open", "closed"],
)
def test_what_is_not_valid_is_refused(body: bytes) -> None:
    """White space makes no body valid that is not."""
    with pytest.raises(UnprocessableError):
        asyncio.run(JsonRows(LAYOUT).read(body))


def test_long_text_is_not_searched() -> None:
    """Where something else than white space is long, the search ends."""
    assert cut(b'{"' + b"a" * (4 * STEP_BYTES) + b'":[1]}') is None
