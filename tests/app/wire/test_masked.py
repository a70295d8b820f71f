"""Bodies of x and its mask: cut or in words, they say the same."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from app.errors import ProblemError, UnprocessableError
from app.wire.layout import Layout
from app.wire.masked import Masked, MaskedRows
from model.raw_values import RawValues

FLAT = Layout("x", (4,), max_rows=5000)
SHAPED = Layout("x", (2, 2), max_rows=5000)
X = [[1.5, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]
MASK = [[1, 0, 1, 1], [0, 0, 0, 1]]
KNOWN = [[1.5, 0, 3, 4], [0, 0, 0, 8]]


def read(body: bytes, layout: Layout = FLAT) -> tuple[Masked, Mapping[str, Any]]:
    """Read a body with a fresh reader."""
    return asyncio.run(MaskedRows(layout).read_json(body))


@pytest.mark.parametrize(
    "document",
    [
        {"x": X, "mask": MASK, "seed": 1},
        {"seed": 1, "mask": MASK, "x": X},
        {"mask": MASK, "seed": 1, "x": X},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_members_come_in_any_order(document: dict[str, Any], indent: int) -> None:
    """Spaces do not matter either."""
    found, scalars = read(json.dumps(document, indent=indent).encode())

    assert found.x.values.tolist() == KNOWN
    assert found.observed.tolist() == (np.array(MASK) == 1).tolist()
    assert scalars == {"seed": 1}


def test_rows_may_be_shaped() -> None:
    """Both are, or neither."""
    x, mask = (np.array(a).reshape(2, 2, 2).tolist() for a in (X, MASK))

    found, _ = read(json.dumps({"x": x, "mask": mask}).encode(), SHAPED)
    with pytest.raises(
        UnprocessableError, match=r"shape of x, \[2, 2, 2\], got \[2, 4"
    ):
        read(json.dumps({"x": x, "mask": MASK}).encode(), SHAPED)

    assert found.x.shaped
    assert found.x.values.tolist() == KNOWN


def test_long_bodies_are_read() -> None:
    """Longer than what is explained in words."""
    x = np.random.default_rng(0).normal(size=(4000, 4)).astype(np.float32)
    mask = np.random.default_rng(1).integers(0, 2, (4000, 4))
    document = {"x": x.astype(np.float64).tolist(), "mask": mask.tolist()}

    found, _ = read(json.dumps(document).encode())

    np.testing.assert_array_equal(found.x.values, np.where(mask, x, 0))
    np.testing.assert_array_equal(found.observed, mask == 1)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"x":[[1,2,3,4]]}', "/mask: expected .* but it is missing"),
        (b'{"mask":[[1,1,1,1]]}', "/x: expected .* but it is missing"),
        (b'{"x":[[1,2,3,null]],"mask":[[1,1,1,0]]}', "/x/0/3: expected a number"),
        (b'{"x":[[1,2,3,4]],"mask":[[1,1,1,true]]}', "/mask/0/3: .* got a boolean"),
        (b'{"x":[[1,2,3,4]],"mask":[[1,1,1,0.5]]}', "/mask/0/3: .* 0 or 1, got 0.5"),
        (b'{"x":[[1,2,3,4]],"mask":[[1,1,1]]}', "/mask/0: .* row of 3 values"),
        (b'{"x":[[1,2,3,4]],"mask":[]}', "/mask: .* got no rows"),
        (b'{"x":[[1,2,3,4]],"mask":1}', "/mask: .* got 1"),
        (b'{"x":[[1,2,3,4]],"mask":[[1,1,1,1],[1,1,1,1]]}', r"shape of x, \[1, 4\]"),
        (b'{"x":[[1,2,3,4]],"mask":[[1,1,1,1]],"x":[[1,2,3,4]]}', "got a duplicate"),
        (b'{"x":[[1,2,3,4]],"mask":[[1,1,1,1]],"mask":[[1,1,1,1]]}', "got a duplicate"),
        (b'{"x":[[1,2,3,4]],"seed":1,"mask":[[1,1,1,1]],"seed":2}', "got a duplicate"),
        (
            b'{"seed":1,"x":[[1,2,3,4]],"mask":[[1,1,1,1]],"seed":[2]}',
            "got a duplicate",
        ),
        (b'{"x":[[1,2,3,4]],"mask":[[1,1,1,1]]', "an error at position"),
        (b'{"x":[[1,2,3,4],"mask":[[1,1,1,1]]}', "an error at position"),
        (b'{"x":[[1,2,3,4]]],"mask":[[1,1,1,1]]}', "an error at position"),
        (b"[]", "expected an object"),
    ],
)
def test_faults_are_told(body: bytes, words: str) -> None:
    """Every one as if there were no fast path."""
    with pytest.raises(UnprocessableError, match=words):
        read(body)


def test_further_members_are_handed_on() -> None:
    """Arrays too, so that their options can be refused."""
    _, scalars = read(b'{"x":[[1,2,3,4]],"mask":[[1,1,1,1]],"a":[1],"seed":2}')

    assert scalars == {"a": [1], "seed": 2}


@pytest.mark.slow("reads many bodies")
def test_random_damage_is_refused_or_read_as_it_stands() -> None:
    """A body with a byte changed says what the standard library reads, or is a 422."""
    body = json.dumps({"x": X, "mask": MASK, "seed": 1}).encode()
    draw = np.random.default_rng(0)
    n_read = 0

    for _ in range(1500):
        damaged = bytearray(body)
        damaged[draw.integers(len(body))] = draw.choice(list(b'[]{},:"1023 .exm'))
        try:
            found, scalars = read(bytes(damaged))
        except ProblemError:
            continue
        n_read += 1
        members = json.loads(damaged)
        mask = np.array(members.pop("mask"))
        x = np.array(members.pop("x"), np.float32)
        np.testing.assert_array_equal(found.observed, mask == 1)
        np.testing.assert_array_equal(found.x.values, np.where(mask == 1, x, 0))
        assert scalars == members

    assert n_read > 100


@pytest.mark.parametrize(
    "dtype", [np.bool_, np.uint8, np.int64, np.float32, np.float64]
)
def test_tensors_are_read(dtype: type[np.generic]) -> None:
    """In whatever order they lie; NaN where x is missing is nothing."""
    x = np.where(np.array(MASK) == 1, X, np.nan)
    for tensors in (
        {"x": x.astype(np.float32), "mask": np.array(MASK).astype(dtype)},
        {"x": x, "mask": np.array(MASK).astype(dtype)},
    ):
        found = MaskedRows(FLAT).read_safetensors(save(tensors))

        assert found.x.values.tolist() == KNOWN
        assert found.x.values.dtype == np.float32
        assert found.observed.tolist() == (np.array(MASK) == 1).tolist()


def test_faulty_tensors_are_told() -> None:
    """Missing, too many, NaN where x is known, no mask, another shape, more bytes."""
    x, mask = np.array(X, np.float32), np.array(MASK, np.uint8)
    whole = save({"x": x, "mask": mask})
    for body, words in (
        (save({"x": x}), "/mask: expected one tensor of this name"),
        (save({"x": x, "mask": mask, "y": x}), "expected one tensor of this name"),
        (save({"x": x * np.nan, "mask": mask}), "/x/0/0: expected a finite number"),
        (save({"x": x, "mask": mask * 2}), "/mask/0/0: expected 0 or 1, got 2"),
        (save({"x": x, "mask": mask[:1]}), r"shape of x, \[2, 4\], got \[1, 4\]"),
        (whole + b"\0", "/mask: expected 8 bytes of data at offset 32"),
        (whole[:-1], "/mask: expected 8 bytes of data at offset 32"),
        (whole.replace(b"[32,40]", b"[30,38]"), "of data at offset"),
        (whole.replace(b"[0,32]", b"[1,33]"), "of data at offset"),
    ):
        with pytest.raises(UnprocessableError, match=words):
            MaskedRows(FLAT).read_safetensors(body)


@pytest.mark.parametrize("form", ["json", "safetensors"])
def test_missing_values_have_no_range(form: str) -> None:
    """What is 0 in their place may be outside that of x; a known value may not."""
    layout = Layout("x", (4,), 9, raw=RawValues(1.0, {}, (1.0, 9.0)))
    bad = [[1.5, 0.5, 3.0, 4.0], [5.0, 6.0, 7.0, 0.5]]

    def masked(x: Any) -> Masked:
        if form == "json":
            return read(json.dumps({"x": x, "mask": MASK}).encode(), layout)[0]
        arrays = {"x": np.array(x), "mask": np.array(MASK)}
        return MaskedRows(layout).read_safetensors(save(arrays))

    assert masked(X).x.values.tolist() == KNOWN
    with pytest.raises(UnprocessableError, match=r"/x/1/3: expected a value in \[1, 9"):
        masked(bad)
