"""Writes the result of a call as a response."""

import asyncio
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import Fault, Headers, UnprocessableError
from app.http.pictures import Picture
from app.http.response import Pieces, Response
from app.wire import npy, safetensors
from app.wire.csv.writer import CsvText
from app.wire.json import writer
from app.wire.layout import MAX_FOR_BLAS
from app.wire.negotiation import CSV, JSON, PARQUET, SAFETENSORS, Format
from app.wire.parquet import writer as parquet_writer
from app.wire.reply import Chunk, Reply

# Longer arrays are checked in a thread: numpy releases the interpreter lock.
_THREADED_BYTES = 1 << 20


async def respond(
    reply: Reply,
    format_: Format,
    *,
    source: str,
    by_row: bool = True,
    picture: Picture | None = None,
    headers: Headers = (),
) -> Response:
    """
    Return a reply as a response.

    Args:
        source: The input to name in the error if a value is not finite.
        by_row: Whether row i of the response comes from row i of the source.
        picture: The layout of the main array in PNG.

    Raises:
        UnprocessableError: A value is not finite.
    """
    chunks: list[Chunk] | Pieces
    if format_ is JSON:
        chunks = writer.chunks(reply)
    else:
        chunks = await _chunks(reply, format_, picture)
    # orjson writes values that are not finite as null, which is quick to search for.
    if not isinstance(chunks, list) or format_ is not JSON or b"null" in chunks[0]:
        await check_finite(reply, source, by_row=by_row)
    seed = reply.scalars.get("seed")
    if seed is not None:
        headers = (*headers, (b"vae-seed", str(seed).encode()))
    return Response(
        format_.media_type,
        chunks,
        headers=headers,
        n_rows=len(reply.main),
    )


async def check_finite(reply: Reply, source: str, *, by_row: bool) -> None:
    """
    Check the values of a reply; the arguments are those of `respond`.

    Raises:
        UnprocessableError: A value is not finite.
    """
    for name, values in reply.tensors.items():
        if name in reply.nullable:
            continue
        if values.nbytes < _THREADED_BYTES:
            is_finite = _is_finite(values)
        else:
            is_finite = await asyncio.to_thread(_is_finite, values)
        if not is_finite:
            first = await asyncio.to_thread(_first_not_finite, values)
            raise _not_finite(name, values, source, first, by_row=by_row)


def _is_finite(values: NDArray[Any]) -> bool:
    # One fast pass, for most arrays; many large values may make the sum infinite too.
    if values.size <= MAX_FOR_BLAS and isfinite(np.vdot(values, values)):
        return True
    # NaN in any value makes both NaN.
    return isfinite(values.max()) and isfinite(values.min())


def _first_not_finite(values: NDArray[Any]) -> int:
    return int(np.argmin(np.isfinite(values.reshape(-1))))


def _not_finite(
    name: str, values: NDArray[Any], source: str, first: int, *, by_row: bool
) -> UnprocessableError:
    """Return the error for the value that is not finite at a flat position."""
    row = first // (values.size // len(values))
    pointer = f"/{source}/{row}" if by_row else f"/{source}"
    what = f"the model's {name} of row {row} is not finite; too large?"
    return UnprocessableError(Fault(pointer, what))


async def _chunks(
    reply: Reply, format_: Format, picture: Picture | None
) -> list[Chunk] | Pieces:
    """Return a reply in a format other than JSON."""
    if format_ is CSV:
        table = CsvText(reply)
        return table if table.is_long else [b"".join(table)]
    if format_ is PARQUET:
        return await parquet_writer.write(reply)
    if picture is not None:
        return await picture.write(reply.main)
    write = safetensors.write if format_ is SAFETENSORS else npy.write
    return write(reply)
