"""
Compresses long texts with gzip (RFC 9110, 8.4.1), for clients that ask for it.

Level 1 is nearly as good as higher levels for numbers in JSON, and several times as
fast. Arrays in binary formats and PNG hardly shrink, so they are sent as they are. All
compression runs in threads, a piece at a time: zlib releases the interpreter lock.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple, final

from app.errors import Headers
from app.wire.negotiation import with_qualities

# Shorter texts fit in a few packets, and are sent in one message.
MIN_BYTES = 1 << 16
LEVEL = 1
GZIP = 16 + zlib.MAX_WBITS  # zlib's number for the format of gzip
_TEXTS = (b"application/json", b"text/", b"image/svg+xml")
_PIECE_BYTES = 1 << 18
_CACHE = 256

VARY: Headers = ((b"vary", b"Accept-Encoding"),)
_ENCODED: Headers = ((b"content-encoding", b"gzip"), *VARY)


def headers_for(
    media_type: bytes, headers: Headers, request: Sequence[tuple[bytes, bytes]]
) -> Headers:
    """
    Return what a long body needs: Content-Encoding if it is to be compressed, and Vary.

    Args:
        headers: The headers that the response has; one with Content-Encoding is left
            as it is.
        request: The headers of the request.
    """
    if not media_type.startswith(_TEXTS):
        return ()
    if any(name == b"content-encoding" for name, _ in headers):
        return ()
    return _ENCODED if is_wanted(request) else VARY


def is_wanted(request: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return whether Accept-Encoding prefers gzip to no encoding."""
    listed = b",".join(v for name, v in request if name == b"accept-encoding")
    return bool(listed) and _prefers_gzip(listed)


async def compress(pieces: Iterable[bytes | memoryview]) -> AsyncGenerator[bytes]:
    """Yield the compressed form of a body, piece by piece."""
    stream = zlib.compressobj(LEVEL, wbits=GZIP)
    for piece in pieces:
        view = memoryview(piece)
        for start in range(0, len(view), _PIECE_BYTES):
            part = view[start : start + _PIECE_BYTES]
            text = await asyncio.to_thread(stream.compress, part)
            if text:
                yield text
    yield await asyncio.to_thread(stream.flush)


@final
class Variant(NamedTuple):
    """A form of a constant text, with its own entity tag."""

    content: bytes
    etag: str
    headers: Headers


@final
class ConstantText:
    """A text that does not change: as it is and, if it is long, compressed once."""

    def __init__(self, content: bytes) -> None:
        etag = sha256(content).hexdigest()
        is_long = len(content) > MIN_BYTES
        self.plain = Variant(content, f'"{etag}"', VARY if is_long else ())
        self._is_long = is_long
        self._gzip: Variant | None = None

    async def variant(self, request: Sequence[tuple[bytes, bytes]]) -> Variant:
        """Return the variant for a request with these headers."""
        if not self._is_long or not is_wanted(request):
            return self.plain
        if self._gzip is None:
            parts = [part async for part in compress([self.plain.content])]
            etag = f'{self.plain.etag[:-1]}-gzip"'
            self._gzip = Variant(b"".join(parts), etag, _ENCODED)
        return self._gzip


@lru_cache(_CACHE)
def _prefers_gzip(listed: bytes) -> bool:
    """Return whether a list of content codings (RFC 9110, 12.5.3) prefers gzip."""
    qualities = dict(with_qualities(listed))
    gzip = qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0)))
    return gzip > 0 and gzip >= qualities.get("identity", 0.0)
