"""
The chunks of a PNG file (W3C, Portable Network Graphics, section 5).

They are looked through before a decoder sees the file: whole, in number and in their
checksums. The decoder then gets those that pixels depend on, and none of the compressed
texts and profiles in which a small file can hide a large one.
"""

import zlib

from app.http.exchange import Body
from app.wire.images.header import Header, ImageError, orientation

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DECODED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_HEADER_BYTES = 13
_INDEXED = 3  # the colour type of images with a palette
_Chunk = tuple[bytes, memoryview]


def read(body: Body) -> Header:
    """
    Look through a PNG file.

    Raises:
        ImageError: It is no PNG, a chunk is cut off or damaged, or it is animated.
    """
    if body[:8] != _SIGNATURE:
        raise ImageError("expected a PNG file, got something else")
    chunks = _chunks(memoryview(body))
    kinds = [kind for kind, _ in chunks]
    header = chunks[0][1][8:-4]
    first, n = kinds[0], kinds.count(b"IHDR")
    if first != b"IHDR" or n != 1 or len(header) != _HEADER_BYTES:
        raise ImageError("expected a PNG file that begins with its one header")
    if header[9] == _INDEXED and b"PLTE" not in kinds:
        raise ImageError("expected a palette, got none")
    if b"acTL" in kinds:
        raise ImageError("expected one image, got an animation")
    exif = next((whole[8:-4] for kind, whole in chunks if kind == b"eXIf"), b"")
    decoded = (whole for kind, whole in chunks if kind in _DECODED)
    return Header(
        width=int.from_bytes(header[:4], "big"),
        height=int.from_bytes(header[4:8], "big"),
        bit_depth=header[8],
        orientation=orientation(bytes(exif)),
        content=b"".join((_SIGNATURE, *decoded)),
    )


def _chunks(view: memoryview) -> list[_Chunk]:
    """Return the kind and the bytes of each chunk, up to the one that ends a file."""
    chunks: list[_Chunk] = []
    position = len(_SIGNATURE)
    while not chunks or chunks[-1][0] != b"IEND":
        end = position + 12 + int.from_bytes(view[position : position + 4], "big")
        if end > len(view):
            raise ImageError("expected a whole PNG file, got one that is cut off")
        checksum = int.from_bytes(view[end - 4 : end], "big")
        if zlib.crc32(view[position + 4 : end - 4]) != checksum:
            raise ImageError("expected a sound PNG file, got a chunk with a bad CRC")
        kind = bytes(view[position + 4 : position + 8])
        chunks.append((kind, view[position:end]))
        position = end
    return chunks
