"""
The chunks of a PNG file (W3C, Portable Network Graphics, section 5).

They are looked through before a decoder sees the file: whole, in number and in their
checksums. The decoder then gets those that pixels depend on, and none of the compressed
texts and profiles in which a small file can hide a large one. Nothing is copied, and
what is kept is limited before it is kept.
"""

import zlib
from collections.abc import Iterator
from threading import Event

from app.wire.body import Body
from app.wire.images.header import Header, ImageError, orientation
from app.wire.images.parts import check_wanted

# The longest body in pieces of 4 KiB; programs write 8 KiB or more.
MAX_CHUNKS = 1 << 14

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_BYTES = 13
# What the decoder is given besides the header and the pixels, once at most.
_MAX_BYTES = {b"PLTE": 768, b"tRNS": 256}
_DECODED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
_LOOKED_AT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"eXIf"})
_MAX_EXIF_BYTES = 1 << 16
_END = memoryview(b"\0\0\0\0IEND\xaeB`\x82")
_INDEXED = 3  # the colour type of images with a palette
_Chunk = tuple[bytes, int, int]


def read(body: Body, stop: Event | None = None) -> Header:
    """
    Look through a PNG file.

    Raises:
        ImageError: It is no PNG, a chunk is cut off or damaged, or it is animated.
        StoppedError: It is not wanted any more.
    """
    if body[:8] != _SIGNATURE:
        raise ImageError("expected a PNG file, got something else")
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
        if kind in _LOOKED_AT:
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
    """Check that a chunk is the first of its kind, and no longer than they are."""
    if kind in found or len(content) > _MAX_BYTES.get(kind, _HEADER_BYTES):
        name = kind.decode()
        raise ImageError(f"expected one {name} of usual length in the header of a PNG")


def _keep(kept: list[tuple[int, int]], start: int, end: int) -> None:
    """Keep a chunk for the decoder, as one part with the one before it."""
    if kept and kept[-1][1] == start:
        start, _ = kept.pop()
    kept.append((start, end))


def _chunks(view: memoryview, stop: Event | None) -> Iterator[_Chunk]:
    """Yield the kind of each chunk and where it lies, up to the end of the image."""
    position = len(_SIGNATURE)
    for _ in range(MAX_CHUNKS):
        check_wanted(stop)
        end = position + 12 + int.from_bytes(view[position : position + 4], "big")
        if end > len(view):
            raise ImageError("expected a whole PNG file, got one that is cut off")
        checksum = int.from_bytes(view[end - 4 : end], "big")
        if zlib.crc32(view[position + 4 : end - 4]) != checksum:
            raise ImageError("expected a sound PNG file, got a chunk with a bad CRC")
        kind = bytes(view[position + 4 : position + 8])
        yield kind, position, end
        if kind == b"IEND":
            return
        position = end
    raise ImageError(f"expected a PNG file of at most {MAX_CHUNKS} chunks, got more")
