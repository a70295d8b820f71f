"""
The chunks of a PNG file (W3C, Portable Network Graphics, section 5).

They are checked before the decoder sees the file: length, number and checksums. The
decoder then gets only the chunks that the pixels depend on, and no compressed texts or
profiles, which can expand to a size far larger than the file. Nothing is copied, and
sizes are checked before a chunk is kept.
"""

import zlib
from collections.abc import Iterator
from threading import Event

from app.wire.body import Body
from app.wire.images.header import Header, ImageError, kind_of, orientation
from app.wire.images.parts import check_wanted

# The longest body, in chunks of 4 KiB; usual encoders write 8 KiB or more.
MAX_CHUNKS = 1 << 14

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_BYTES = 13
# Chunks passed to the decoder in addition to header and pixels, each at most once.
_MAX_BYTES = {b"PLTE": 768, b"tRNS": 256}
_DECODED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
_PARSED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"eXIf"})
_MAX_EXIF_BYTES = 1 << 16
_END = memoryview(b"\0\0\0\0IEND\xaeB`\x82")
_INDEXED = 3  # the color type of images with a palette
_Chunk = tuple[bytes, int, int]


def read(body: Body, stop: Event | None = None) -> Header:
    """
    Read the header of a PNG file, and check all chunks.

    Raises:
        ImageError: It is not a PNG, a chunk is truncated or damaged, or it is animated.
        StoppedError: `stop` was set.
    """
    if body[:8] != _SIGNATURE:
        raise ImageError(f"expected a PNG file, got {kind_of(body)}")
    view = memoryview(body)
    found: dict[bytes, memoryview] = {}
    kept: list[tuple[int, int]] = []
    for kind, start, end in _chunks(view, stop):
        content = view[start + 8 : end - 4]
        if not found and (kind != b"IHDR" or len(content) != _HEADER_BYTES):
            raise ImageError("expected a PNG file that begins with its one header")
        if kind == b"acTL":
            raise ImageError("expected one image, got an animation")
        if kind == b"IHDR" or kind in _MAX_BYTES:
            _check_once(kind, content, found)
        if kind in _DECODED:
            _keep(kept, start, end)
        if kind in _PARSED:
            found.setdefault(kind, content)
    header = found[b"IHDR"]
    if header[9] == _INDEXED and b"PLTE" not in found:
        raise ImageError("expected a palette, got none")
    exif = found.get(b"eXIf", b"")[:_MAX_EXIF_BYTES]
    return Header(
        width=int.from_bytes(header[:4], "big"),
        height=int.from_bytes(header[4:8], "big"),
        bit_depth=header[8],
        orientation=orientation(bytes(exif)),
        parts=(view[:8], *(view[start:end] for start, end in kept), _END),
    )


def _check_once(
    kind: bytes, content: memoryview, found: dict[bytes, memoryview]
) -> None:
    """Check that a chunk is the first of its kind, and not too long."""
    if kind in found or len(content) > _MAX_BYTES.get(kind, _HEADER_BYTES):
        name = kind.decode()
        raise ImageError(f"expected one {name} of usual length in the header of a PNG")


def _keep(kept: list[tuple[int, int]], start: int, end: int) -> None:
    """Keep a chunk for the decoder; join it to the one before it if adjacent."""
    if kept and kept[-1][1] == start:
        start, _ = kept.pop()
    kept.append((start, end))


def _chunks(view: memoryview, stop: Event | None) -> Iterator[_Chunk]:
    """Yield kind, start and end of each chunk, up to the end of the image."""
    position = len(_SIGNATURE)
    for _ in range(MAX_CHUNKS):
        check_wanted(stop)
        end = position + 12 + int.from_bytes(view[position : position + 4], "big")
        if end > len(view):
            raise ImageError("expected a whole PNG file, got a truncated one")
        checksum = int.from_bytes(view[end - 4 : end], "big")
        if zlib.crc32(view[position + 4 : end - 4]) != checksum:
            raise ImageError("expected an intact PNG file, got a chunk with a bad CRC")
        kind = bytes(view[position + 4 : position + 8])
        yield kind, position, end
        if kind == b"IEND":
            return
        position = end
    raise ImageError(f"expected a PNG file of at most {MAX_CHUNKS} chunks, got more")
