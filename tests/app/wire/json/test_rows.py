"""The fast path of JSON: exactly the documents, and the numbers, of a slow reading."""

import asyncio
import json
import random
from typing import Any

import numpy as np
import pytest

from app.errors import ContentTooLargeError, ProblemError, UnprocessableError
from app.wire.json import pieces
from app.wire.json import rows as json_rows
from app.wire.json.rows import JsonRows
from app.wire.json.strict import read as read_slowly
from app.wire.layout import Layout

FLAT = Layout("x", (4,), max_rows=1000)
SHAPED = Layout("x", (2, 2), max_rows=1000)


def read(body: bytes | bytearray, layout: Layout = FLAT) -> json_rows.ParsedBody:
    """Read a body with a fresh reader."""
    return asyncio.run(JsonRows(layout).read(body))


def body_of(rows: list[str]) -> bytes:
    """Return a body of these rows."""
    return f'{{"x":[{",".join(rows)}]}}'.encode()


def outcome(body: bytes, layout: Layout) -> Any:
    """Return what the fast reader makes of a body, comparably."""
    try:
        document = read(body, layout)
    except ProblemError as problem:
        return problem.status
    return document.rows.values.tolist(), document.rows.shaped, document.scalars


def slow_outcome(body: bytes, layout: Layout) -> Any:
    """Return what the standard library's reader makes of a body."""
    try:
        rows, scalars = read_slowly(body, layout)
    except ProblemError as problem:
        return problem.status
    return rows.values.tolist(), rows.shaped, scalars


def test_numbers_are_rounded_once_to_double_and_once_to_float32() -> None:
    """Every value is float32(double nearest to its decimal digits)."""
    generator = random.Random(3)
    texts = [repr(generator.uniform(-1, 1) * 10.0**e) for e in range(-30, 30)] * 4
    texts += ["0.1", "-0.0", "1e-46", "16777217", "9007199254740993", "1" + "0" * 30]
    texts += ["1e-400", "123456789012345678901234567890", "0", "1E+5", "2e-3"]
    texts = texts[: len(texts) // 4 * 4]
    rows = [f"[{','.join(texts[i : i + 4])}]" for i in range(0, len(texts), 4)]

    values = read(body_of(rows)).rows.values

    wanted = np.array([float(text) for text in texts]).astype(np.float32)
    np.testing.assert_array_equal(values.reshape(-1), wanted)


@pytest.mark.slow("reads many bodies")
@pytest.mark.parametrize("layout", [FLAT, SHAPED], ids=["flat", "shaped"])
def test_mutated_bodies_are_read_as_the_standard_library_reads_them(
    layout: Layout,
) -> None:
    """Bytes changed at random never crash, and never change what is accepted."""
    generator = random.Random(5)
    x = np.arange(12.0).reshape(3, *layout.shape).tolist()
    good = json.dumps({"x": x, "seed": 3}).encode()
    alphabet = b'[]{},:"0123456789.-+eE xntf\\\xff '

    for _ in range(4000):
        body = bytearray(good)
        for _ in range(generator.randint(1, 3)):
            i = generator.randrange(len(body))
            body[i : i + generator.randint(0, 2)] = bytes(
                generator.choices(alphabet, k=generator.randint(0, 2))
            )
        body_read = bytes(body)

        assert outcome(body_read, layout) == slow_outcome(body_read, layout), body_read


@pytest.mark.parametrize("shaped", [False, True])
@pytest.mark.parametrize("separators", [(",", ":"), (" ,\n\t", " : ")])
def test_pieces_give_the_whole(
    monkeypatch: pytest.MonkeyPatch, separators: tuple[str, str], *, shaped: bool
) -> None:
    """A body read in pieces gives what it gives in one, options after it included."""
    x = np.random.default_rng(0).random((100, 2, 2))
    rows = x if shaped else x.reshape(100, 4)
    body = json.dumps({"x": rows.tolist(), "seed": 3}, separators=separators).encode()

    monkeypatch.setattr(pieces, "PIECE_BYTES", 64)
    document = read(bytearray(body), SHAPED)

    assert document.scalars == {"seed": 3}
    assert document.rows.shaped == shaped
    np.testing.assert_array_equal(
        document.rows.values, x.reshape(100, 4).astype(np.float32)
    )


@pytest.mark.parametrize("bad", ["NaN", "null", '"]"', "[2]", "1e99"])
def test_a_fault_in_a_late_piece_has_its_own_row(
    monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    """The pointer counts rows from the start of the whole array."""
    rows = ["[1,2,3,4]"] * 100
    rows[77] = f"[1,2,{bad},4]"

    monkeypatch.setattr(pieces, "PIECE_BYTES", 64)
    with pytest.raises(UnprocessableError) as raised:
        read(body_of(rows))

    assert raised.value.faults[0].pointer == "/x/77/2"


@pytest.mark.parametrize(
    "text",
    [
        '{"x":[[1,2,3,4],[1,2,3,4]],[1,2,3,4]]}',
        '{"x":[[1,2,3,4],[1,2,3,4],]}',
        '{"x":[[1,2,3,4],,[1,2,3,4]]}',
        '{"x":[[1,2,3,4]][[1,2,3,4]]}',
        '{"x":[[1,2,3,4],[[1,2],[3,4]]]}',
        '{"x":[[[1,2],[3,4]],[1,2,3,4]]}',
        '{"x":[[1,2,3,4],{"a":[1,2,3,4]}]}',
        '{"x":[],"y":[[1,2,3,4]]}',
        '{"x":"[[1,2,3,4],[1,2,3,4]]"}',
    ],
)
def test_pieces_accept_nothing_that_the_whole_does_not(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Cutting between rows never joins what is no JSON into rows."""
    monkeypatch.setattr(pieces, "PIECE_BYTES", 4)

    with pytest.raises(UnprocessableError):
        read(text.encode(), SHAPED)


def test_too_many_rows_are_noticed_before_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reading stops at the limit, whatever follows it."""
    body = b'{"x":[%b {"never": "read"}]}' % (b"[1,2,3,4]," * 1001)

    monkeypatch.setattr(pieces, "PIECE_BYTES", 64)

    with pytest.raises(ContentTooLargeError, match="at most 1000 rows"):
        read(body)


def test_the_event_loop_is_served_between_pieces() -> None:
    """While megabytes are read, other tasks run again and again."""
    n_turns = 0

    async def count() -> None:
        nonlocal n_turns
        while True:
            n_turns += 1
            await asyncio.sleep(0)

    async def both() -> None:
        other = asyncio.create_task(count())
        layout = Layout("x", (784,), max_rows=1000)
        row = "[" + ",".join(["0.12345678901234567"] * 784) + "]"
        await JsonRows(layout).read(body_of([row] * 500))
        other.cancel()

    asyncio.run(both())

    assert n_turns >= 10
