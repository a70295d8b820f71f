"""
Bodies with two arrays: x, and a mask of the same rows that says where x is known.

In JSON both are arrays of numbers, the mask of 0 and 1; null is refused, as it is
elsewhere. In safetensors the mask may be of booleans, and x NaN where it is missing.
"""

import asyncio
import json
from typing import NamedTuple, Never, final

import numpy as np

from app.errors import Fault, UnprocessableError, number
from app.http.exchange import Body
from app.wire import safetensors
from app.wire.json import strict
from app.wire.json.rows import MAX_SKELETON_BYTES, JsonRows, Scalars, distinct_members
from app.wire.layout import Layout, Mask, Rows

NAME = "mask"
_DTYPES = {
    **safetensors.FLOATS,
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("u1"),  # a byte each; of another value than 0 and 1 it is none
}


@final
class Masked(NamedTuple):
    """Rows of a request, 0 where they are missing, and where they are known, (N, D)."""

    x: Rows
    observed: Mask


@final
class MaskedRows:
    """Reads bodies with x and a mask of it; for one thread, the event loop's."""

    def __init__(self, layout: Layout) -> None:
        self._x = layout
        self._mask = Layout(NAME, layout.shape, layout.max_rows)
        self._json = {one.name: JsonRows(one) for one in (self._x, self._mask)}

    async def read_json(self, body: Body) -> tuple[Masked, Scalars]:
        """
        Read a whole body.

        Raises:
            UnprocessableError: It is not what the layout wants, or the mask is none.
            ContentTooLargeError: It has too many rows.
        """
        cut = self._cut(body)
        arrays, scalars = cut or ({}, {})
        found = [
            await self._json[name].read(text) for name, text in sorted(arrays.items())
        ]
        if cut is None or any(document.scalars for document in found):
            # This accepts what is valid, too, and has words for every fault.
            x, mask, scalars = await asyncio.to_thread(self._in_words, body)
        else:
            mask, x = (document.rows for document in found)
        observed = self._observed(mask, x)
        values = np.where(observed, x.values, np.float32(0))
        return Masked(x._replace(values=values), observed), scalars

    def read_safetensors(self, body: Body) -> Masked:
        """
        Read a whole body.

        Raises, as `read_json`.
        """
        x, mask = safetensors.read_named(
            body, {self._x: safetensors.FLOATS, self._mask: _DTYPES}
        )
        flags = mask.values.astype(np.float32)
        known = self._mask.to_rows(flags, shaped=mask.shaped)
        rows = Rows(x.values.reshape(-1, self._x.dim), x.shaped)
        observed = self._observed(known, rows)
        values = np.where(observed, rows.values, 0)
        return Masked(self._x.to_rows(values, shaped=x.shaped), observed)

    def _cut(self, body: Body) -> tuple[dict[str, bytes], Scalars] | None:
        """
        Return a body for each array, and the other members; None if it needs words.

        An array of numbers ends at the last bracket before the next key.
        """
        start = body.find(b"[")
        key = body.find(b'"', max(start, 0))
        second = body.find(b"[", max(key, 0))
        if start < 0 or key < 0 or second < 0:
            return None
        stop, end = body.rfind(b"]", start, key), body.rfind(b"]")
        if stop < 0 or start + len(body) - end + second - stop > MAX_SKELETON_BYTES:
            return None
        skeleton = body[: start + 1] + body[stop : second + 1] + body[end:]
        members = distinct_members(skeleton)
        if members is None:
            return None
        names = [name for name in members if name in self._json]
        if len(names) != 2 or any(members.pop(name) != [] for name in names):
            return None
        view = memoryview(body)
        texts = view[start : stop + 1], view[second : end + 1]
        arrays = {
            name: b"".join((b'{"', name.encode(), b'":', text, b"}"))
            for name, text in zip(names, texts, strict=True)
        }
        return arrays, members

    def _in_words(self, body: Body) -> tuple[Rows, Rows, Scalars]:
        x, members = strict.read(body, self._x)
        if NAME not in members:
            what = f"expected {self._mask.wanted} of 0 and 1, but it is missing"
            _refuse(self._mask, what)
        text = json.dumps(members.pop(NAME)).encode()
        return x, strict.read_rows(text, self._mask, first_row=0), members

    def _observed(self, mask: Rows, x: Rows) -> Mask:
        """Return a mask as booleans, once it is one of these rows."""
        wanted, came = self._shape(x), self._shape(mask)
        if came != wanted:
            _refuse(self._mask, f"expected the shape of x, {wanted}, got {came}")
        outside = (mask.values != 0) & (mask.values != 1)
        if outside.any():
            row, d = (int(i) for i in np.argwhere(outside)[0])
            what = f"expected 0 or 1, got {number(float(mask.values[row, d]))}"
            pointer = self._mask.pointer_to(row, d, shaped=mask.shaped)
            raise UnprocessableError(Fault(pointer, what))
        observed: Mask = mask.values == 1
        return observed

    def _shape(self, rows: Rows) -> list[int]:
        shape = self._x.shape if rows.shaped else (self._x.dim,)
        return [len(rows.values), *shape]


def _refuse(layout: Layout, detail: str) -> Never:
    raise UnprocessableError(Fault(layout.pointer(), detail))
