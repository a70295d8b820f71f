"""
Parses bodies with two arrays: x, and a mask of the same shape for the known values.

In JSON both are arrays of numbers, the mask of 0 and 1; null is refused as everywhere.
In safetensors the mask may have booleans, and x may be NaN where it is missing. Rows by
name need no mask: null in JSON and Parquet, and an empty cell
in CSV, is a missing value.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from app.errors import Fault, UnprocessableError, number
from app.wire import codes, safetensors
from app.wire.body import Body
from app.wire.json import strict
from app.wire.json.arrays import RefusedError
from app.wire.json.rows import (
    MAX_SKELETON_BYTES,
    JsonRows,
    Scalars,
    distinct_members,
    ends,
    is_named,
)
from app.wire.layout import Layout, Mask, Rows
from app.wire.safetensors import SentTensor
from model.raw_values import PLAIN

NAME = "mask"
_BLOCK = 1 << 16
_SEARCHED_BYTES = 1 << 22  # searching these for a byte takes a millisecond
_Place = tuple[int, int]
# Returns the rows of a table that a body is, which end early when an event is set.
ReadTable = Callable[[Layout, Event], Rows]


@final
class Masked(NamedTuple):
    """
    Rows, (N, D), with 0 for missing values, and which values are known, (N, D).

    Attributes:
        sent: The rows in data units, where `x` is not, else None.
    """

    x: Rows
    observed: Mask
    sent: NDArray[Any] | None


@final
class MaskedRows:
    """Parses bodies with x and its mask; only for the event loop's thread."""

    def __init__(self, layout: Layout) -> None:
        self._checked = layout
        # Missing values may be any number: they are checked after they are masked.
        is_wide = layout.units is not None or layout.dtype == np.float64
        dtype = np.float64 if is_wide else np.float32
        self._x = replace(layout, raw=PLAIN, units=None, dtype=dtype)
        plain = replace(layout, schema=None, may_be_missing=False)  # no cells
        self._mask = replace(plain, name=NAME, raw=PLAIN, units=None, dtype=np.float32)
        self._known = replace(layout, may_be_missing=True)
        self._with_holes = replace(self._x, raw=layout.raw, may_be_missing=True)
        self._named = JsonRows(self._with_holes)
        self._json = {one.name: JsonRows(one) for one in (self._x, self._mask)}

    async def read_json(self, body: Body) -> tuple[Masked, Scalars]:
        """
        Parse a body.

        Raises:
            UnprocessableError: It does not match the layout, or the mask is invalid.
            ContentTooLargeError: It has too many rows.
        """
        is_long = len(body) > strict.MAX_EXPLAINED_BYTES
        if is_long and self._x.columns and is_named(body):
            return await self._read_named(body)
        cut = await self._cut(body)
        try:
            if cut is None:
                raise RefusedError
            places, scalars = cut
            # Convert the mask first, so that its numbers are freed before x is parsed.
            flags = self._flags(await self._json[NAME].read_array(body, *places[NAME]))
            name = self._x.name
            x = await self._json[name].read_array(body, *places[name])
        except RefusedError:
            # The slow path accepts every valid body, and explains errors.
            x, mask, scalars = await asyncio.to_thread(self._read_slowly, body)
            if mask is None:
                return self._masked(x, ~np.isnan(x.values)), scalars
            flags = self._flags(mask)
        self._check_shapes(flags, x)
        return self._masked(x, flags.values.reshape(x.values.shape)), scalars

    async def _read_named(self, body: Body) -> tuple[Masked, Scalars]:
        """Parse a long body with rows by name: what is null is missing."""
        x, scalars = await self._named.read(body)
        if NAME in scalars:
            what = "expected none in a long body with rows by name: null is missing"
            self._mask.refuse(what)
        return self._masked(x, ~np.isnan(x.values)), scalars

    def read_safetensors(self, body: Body) -> Masked:
        """
        Parse a body.

        Raises:
            UnprocessableError: It does not match the layout, or the mask is invalid.
            ContentTooLargeError: It has too many rows.
        """
        x, mask = safetensors.read_tensors(body, (self._x, self._mask))
        self._check_shapes(mask, x)
        flags = self._flags(mask)
        raw = self._checked.x_of(x.values)
        values: NDArray[Any] = np.empty(raw.size, self._x.dtype)
        for block in _blocks(values.size):
            known = np.where(flags.values[block], raw[block], raw.dtype.type(0))
            self._x.check(known, block.start, shaped=x.shaped)
            values[block] = known
        rows = Rows(values.reshape(-1, self._x.dim), x.shaped)
        return self._masked(rows, flags.values.reshape(rows.values.shape))

    def of_table(self, read: ReadTable, stop: Event) -> Masked:
        """
        Return rows by name whose empty cells are the missing values.

        Raises:
            UnprocessableError: They do not match the layout.
            ContentTooLargeError: They are too many.
        """
        x = read(self._with_holes, stop)
        return self._masked(x, ~np.isnan(x.values))

    def _masked(self, x: Rows, observed: Mask) -> Masked:
        """Check the known values, and return rows in the model's units."""
        layout, sent = self._checked, _writeable(x.values)
        if layout.schema is not None:
            sent[~observed] = np.nan
            codes.check(sent, layout, layout.schema)
            return Masked(x._replace(values=sent), ~np.isnan(sent), sent)
        flat, known = sent.reshape(-1), observed.reshape(-1)
        for block in _blocks(flat.size):
            flat[block][~known[block]] = np.nan
            self._known.check(flat[block], block.start, shaped=x.shaped)
            flat[block][~known[block]] = 0
        if layout.units is None:
            return Masked(x._replace(values=sent), observed, None)
        u = layout.units.standardize(sent)
        u[~observed] = 0
        layout.check_standardized(u.reshape(-1), flat, 0, shaped=x.shaped)
        return Masked(x._replace(values=u), observed, sent)

    async def _cut(self, body: Body) -> tuple[dict[str, _Place], Scalars] | None:
        """
        Return the position of each array, and the other members.

        An array of numbers ends at the last bracket before the next key. Returns None
        if the slow path is needed.
        """
        start, end = ends(body)
        key = await _find(body, b'"', start) if 0 <= start < end else -1
        if key < 0:
            return None
        stop = body.rfind(b"]", max(start, key - MAX_SKELETON_BYTES), key)
        second = body.find(b"[", key, key + MAX_SKELETON_BYTES)
        if stop < 0 or not 0 <= second < end:
            return None
        if start + len(body) - end + second - stop > MAX_SKELETON_BYTES:
            return None
        skeleton = body[: start + 1] + body[stop : second + 1] + body[end:]
        members = distinct_members(skeleton)
        if members is None:
            return None
        names = [name for name in members if name in self._json]
        if len(names) != 2 or any(members.pop(name) != [] for name in names):
            return None
        places = (start, stop + 1), (second, end + 1)
        return dict(zip(names, places, strict=True)), members

    def _read_slowly(self, body: Body) -> tuple[Rows, Rows | None, Scalars]:
        """Return x, its mask and the other members; rows by name need no mask."""
        is_masked = NAME in strict.parse_members(body) or not self._x.columns
        x, members = strict.read(body, self._x if is_masked else self._with_holes)
        if NAME not in members:
            if x.pointer_to is not None:
                return x, None, members
            what = f"expected {self._mask.wanted} of 0 and 1, but it is missing"
            self._mask.refuse(what)
        text = json.dumps(members.pop(NAME)).encode()
        return x, strict.read_rows(text, self._mask, first_row=0), members

    def _flags(self, mask: Rows | SentTensor) -> SentTensor:
        """Return a mask as flat booleans."""
        values = mask.values.reshape(-1)
        observed = np.empty(values.size, np.bool_)
        for block in _blocks(values.size):
            flags = values[block]
            self._check_flags(flags, block.start, shaped=mask.shaped)
            np.equal(flags, 1, out=observed[block])
        return SentTensor(observed, mask.shaped)

    def _check_shapes(self, mask: Rows | SentTensor, x: Rows | SentTensor) -> None:
        wanted, got = self._shape(x), self._shape(mask)
        if got != wanted:
            self._mask.refuse(f"expected the shape of x, {wanted}, got {got}")

    def _check_flags(self, flags: NDArray[Any], first: int, *, shaped: bool) -> None:
        """Check values of a mask; the first has position `first` in it."""
        outside = (flags != 0) & (flags != 1)
        if outside.any():
            i = int(np.argmax(outside))
            row, d = divmod(first + i, self._mask.dim)
            what = f"expected 0 or 1, got {number(float(flags[i]))}"
            pointer = self._mask.pointer_to(row, d, shaped=shaped)
            raise UnprocessableError(Fault(pointer, what))

    def _shape(self, rows: Rows | SentTensor) -> list[int]:
        shape = self._x.shape if rows.shaped else (self._x.dim,)
        return [rows.values.size // self._x.dim, *shape]


def _writeable(values: NDArray[Any]) -> NDArray[Any]:
    return values if values.flags.writeable else values.copy()


def _blocks(n: int) -> Iterator[slice]:
    """Yield slices that cover n values; working on slices saves memory."""
    return (slice(start, start + _BLOCK) for start in range(0, n, _BLOCK))


async def _find(body: Body, byte: bytes, start: int) -> int:
    """Return the first position of a byte at or after `start`, -1 if there is none."""
    for first in range(start, len(body), _SEARCHED_BYTES):
        found = body.find(byte, first, first + _SEARCHED_BYTES)
        if found >= 0:
            return found
        await asyncio.sleep(0)
    return -1
