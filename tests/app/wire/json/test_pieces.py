"""Long JSON arrays: no step is long whatever comes, and nothing is read otherwise."""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any

import numpy as np
import orjson
import pytest

from app.errors import ContentTooLargeError, ProblemError, UnprocessableError
from app.wire import doubles
from app.wire.json import pieces, rows, strict
from app.wire.json.rows import JsonRows
from app.wire.layout import Layout
from app.wire.masked import MaskedRows

MIB = 1 << 20
LAYOUT = Layout("x", (28, 28), max_rows=1 << 20)
WIDE = Layout("x", (512, 512, 3), max_rows=4)


class Steps:
    """The bytes that parsers get, and how often the event loop served others."""

    def __init__(self) -> None:
        self.longest = 0
        self.n_turns = 0

    def note(self, text: Any) -> None:
        """Note what a parser is given."""
        self.longest = max(self.longest, len(text))

    def during(self, work: Coroutine[Any, Any, object]) -> str:
        """Run something; return what came of it."""

        async def turn() -> None:
            while True:
                self.n_turns += 1
                await asyncio.sleep(0)

        async def both() -> str:
            other = asyncio.create_task(turn())
            try:
                await work
            except ProblemError as problem:
                return str(problem.status.value)
            finally:
                other.cancel()
            return "read"

        return asyncio.run(both())


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Have every parser note the length of its texts."""
    noted = Steps()

    parser = doubles.parser

    class Parser:
        def __init__(self) -> None:
            self._parser = parser()

        def parse(self, text: Any) -> Any:
            noted.note(text)
            return self._parser.parse(text)

    monkeypatch.setattr(doubles, "parser", Parser)

    class Orjson:
        JSONDecodeError = orjson.JSONDecodeError

        @staticmethod
        def loads(text: Any) -> Any:
            noted.note(text)
            return orjson.loads(text)

    monkeypatch.setattr(rows, "orjson", Orjson)
    parse = strict._parse

    def noted_parse(text: Any) -> Any:
        if len(text) <= strict.MAX_EXPLAINED_BYTES:  # else it is refused unread
            noted.note(text)
        return parse(text)

    monkeypatch.setattr(strict, "_parse", noted_parse)
    return noted


def wide(n: int = 1) -> bytes:
    """Return rows of 768 Ki values, 2 MB each, with spaces."""
    return f'{{"seed": 3, "x": [{", ".join([wide_row()] * n)}]}}'.encode()


@cache
def wide_row() -> str:
    """Return one of these rows as JSON."""
    row = np.tile(np.array([0.25, 1, -3e-5]), WIDE.dim // 3).reshape(WIDE.shape)
    return json.dumps(row.tolist())


def image() -> bytes:
    """Return many rows."""
    return json.dumps({"x": [[0.123456789] * LAYOUT.dim] * 400}).encode()


BODIES: dict[str, tuple[Callable[[], bytes], str]] = {
    "rows": (image, "read"),
    "wide rows": (lambda: wide(2), "read"),
    "spaces before a row ends": (lambda: b'{"x":[[1' + b" " * 8 * MIB + b"]]}", "422"),
    "spaces after a row": (lambda: b'{"x":[[1]' + b" " * 8 * MIB + b",[1]]}", "422"),
    "spaces at the start": (lambda: b'{"x":[' + b" " * 8 * MIB + b"[1]]}", "422"),
    "spaces around": (lambda: b" " * 8 * MIB + b'{"x":[[1]]}' + b" " * 8 * MIB, "422"),
    "a number": (lambda: b'{"x":[[' + b"1" * 8 * MIB + b"]]}", "422"),
    "a fraction": (lambda: b'{"x":[[0.' + b"3" * 8 * MIB + b",1]]}", "422"),
    "a string": (lambda: b'{"x":[["' + b"a" * 8 * MIB + b'"]]}', "422"),
    "a string with commas": (lambda: b'{"x":[["' + b"a," * 4 * MIB + b'"]]}', "422"),
    "a string for x": (lambda: b'{"x":"' + b"a" * 8 * MIB + b'"}', "422"),
    "a name": (lambda: b'{"x":[[1]],"' + b"a" * 8 * MIB + b'":1}', "422"),
    "empty rows": (lambda: b'{"x":[' + b"[]," * 2 * MIB + b"[]]}", "422"),
    "brackets": (lambda: b'{"x":[' + b"[" * 8 * MIB + b"]}", "422"),
    "ends of rows": (lambda: b'{"x":[' + b"]," * 4 * MIB + b"]}", "422"),
    "objects": (lambda: b'{"x":[' + b'{"":[]},' * MIB + b"0]}", "422"),
    "images": (lambda: b'{"x_png":["' + b"a" * 8 * MIB + b'"]}', "413"),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow("reads many long rows"))
        if name == "wide rows"
        else name
        for name in BODIES
    ],
)
def test_no_parser_gets_more_than_a_piece(steps: Steps, name: str) -> None:
    """Bytes of a step are limited, and between two others have their turn."""
    make, wanted = BODIES[name]
    body = make()
    layout = WIDE if "wide" in name else LAYOUT

    came = steps.during(JsonRows(layout, may_be_images=True).read(body))

    assert came == wanted
    assert steps.longest <= pieces.PIECE_BYTES + 16
    if came == "read":
        assert steps.n_turns >= len(body) / pieces.PIECE_BYTES


@pytest.mark.parametrize("name", ["x", "mask"])
def test_nor_is_there_one_for_masked_rows(steps: Steps, name: str) -> None:
    """Either array may be the long one."""
    long = wide().removeprefix(b'{"seed": 3, "x": ').removesuffix(b"}")
    other = b"[[0]]"
    texts = (long, other) if name == "x" else (other, long)
    body = b'{"x":%b,"mask":%b}' % texts

    came = steps.during(MaskedRows(WIDE).read_json(body))

    assert came == "422"
    assert steps.longest <= pieces.PIECE_BYTES + 16


def read(body: bytes, layout: Layout) -> rows.ParsedBody:
    """Read a body with a fresh reader."""
    return asyncio.run(JsonRows(layout).read(body))


@pytest.mark.slow("reads many bodies")
@pytest.mark.parametrize("shaped", [True, False])
@pytest.mark.parametrize("separators", [(",", ":"), (" , ", " : ")])
def test_a_row_longer_than_a_piece_is_read(
    separators: tuple[str, str], *, shaped: bool
) -> None:
    """Its values are those of its text, and so is its shape."""
    values = np.random.default_rng(0).random((2, *WIDE.shape)).round(6)
    x = values if shaped else values.reshape(2, -1)
    body = json.dumps({"x": x.tolist(), "seed": 3}, separators=separators).encode()

    document = read(body, WIDE)

    assert len(body) > 8 * pieces.PIECE_BYTES
    assert document.scalars == {"seed": 3}
    assert document.rows.shaped == shaped
    wanted = values.reshape(2, -1).astype(np.float32)
    np.testing.assert_array_equal(document.rows.values, wanted)


def outcome(body: bytes, layout: Layout) -> Any:
    """Return what the reader makes of a body, comparably."""
    try:
        document = read(body, layout)
    except ProblemError:
        return "refused"
    return document.rows.values.tolist(), document.rows.shaped, document.scalars


def slow_outcome(body: bytes, layout: Layout) -> Any:
    """Return what the standard library's reader makes of a body."""
    try:
        found, scalars = strict.read(body, layout)
    except ProblemError:
        return "refused"
    return found.values.tolist(), found.shaped, scalars


SHAPES = [(4,), (2, 2), (1,), (2, 1, 2), (1, 1), (3, 2)]


@pytest.mark.slow("reads many bodies")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("piece_bytes", [64, 100, 150])
def test_pieces_accept_what_the_standard_library_accepts(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], piece_bytes: int
) -> None:
    """Bytes changed at random never join what is no JSON into rows."""
    monkeypatch.setattr(pieces, "PIECE_BYTES", piece_bytes)
    monkeypatch.setattr(pieces, "EXPLAINED_BYTES", 40)
    generator = random.Random(str(shape))
    layout = Layout("x", shape, 1000)
    alphabet = b'[]{},:"0123456789.-+eE xntf\\\xff \n'
    x = np.random.default_rng(piece_bytes).random((6, *shape)).round(2)

    n_read = 0
    for _ in range(250):
        given = x if generator.random() < 0.5 else x.reshape(6, -1)
        separators = generator.choice([(",", ":"), (" ,\n", " : ")])
        text = json.dumps({"x": given.tolist(), "seed": 3}, separators=separators)
        body = bytearray(text.encode())
        for _ in range(generator.choice([0, 1, 1, 2])):
            i = generator.randrange(len(body))
            body[i : i + generator.randint(0, 2)] = bytes(
                generator.choices(alphabet, k=generator.randint(0, 2))
            )
        came = outcome(bytes(body), layout)

        assert came == slow_outcome(bytes(body), layout), bytes(body)
        n_read += came != "refused"

    assert n_read > 50


def test_a_fault_in_a_long_body_is_pointed_at() -> None:
    """What is refused is read again in pieces that can be explained."""
    values = [["0.123456789"] * LAYOUT.dim for _ in range(300)]
    values[211][5] = '"?"'
    body = b'{"x":[[%b]]}' % "],[".join(",".join(row) for row in values).encode()

    with pytest.raises(UnprocessableError) as raised:
        read(body, LAYOUT)

    assert len(body) > 2 * MIB
    assert raised.value.faults[0].pointer == "/x/211/5"
    assert "got a string" in raised.value.faults[0].detail


def test_long_integers_in_a_long_body_are_read() -> None:
    """Integers of more than 64 bits are numbers in short bodies and in long ones."""
    row = ",".join(["123456789012345678901234567890"] * LAYOUT.dim)
    body = b'{"x":[[%b]]}' % "],[".join([row] * 20).encode()

    values = read(body, LAYOUT).rows.values

    assert len(body) > pieces.PIECE_BYTES
    np.testing.assert_array_equal(values, np.float32(1.2345679e29))


def test_the_place_for_rows_is_limited_before_it_is_taken() -> None:
    """As many rows as there are commas for are counted before a number is read."""
    body = b'{"x":[[' + b"0," * (5 * WIDE.dim) + b"?]]}"

    with pytest.raises(ContentTooLargeError, match="at most 4 rows, got 6"):
        read(body, WIDE)
