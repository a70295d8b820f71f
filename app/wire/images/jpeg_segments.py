"""
The segments of a JPEG file (ITU-T T.81, annex B) up to its first scan.

Metadata that programs and cameras add (previews, further pictures, profiles, texts) is
not passed to the decoder. Segments that define the color space are. Nothing is copied,
and sizes are checked before a segment is kept.
"""

from collections.abc import Iterator
from threading import Event

import numpy as np

from app.wire.body import Body
from app.wire.images.header import Header, ImageError, kind_of, orientation
from app.wire.images.parts import check_wanted

# A progressive file may have any number of scans, each a pass over the whole image;
# usual encoders write about ten.
MAX_SCANS = 32
# The longest body, in segments of the maximum length, has a quarter of this.
MAX_SEGMENTS = 1 << 12
# The total size of the segments passed to the decoder, which are short tables.
MAX_TABLE_BYTES = 1 << 18

_START_OF_IMAGE = b"\xff\xd8"
_START_OF_SCAN = 0xDA
# Frames of all kinds of coding; the excluded numbers are other segments.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EXIF = 0xE1
_EXIF_NAME = b"Exif\0\0"
# APP1 to APP13, APP15 and comments; APP0 (JFIF) and APP14 (Adobe) define the colors.
_DROPPED = (frozenset(range(0xE1, 0xF0)) | {0xFE}) - {0xEE}
# Bytes searched between two checks of `stop`.
_STEP_BYTES = 1 << 20
_Segment = tuple[int, int, int]


def read(body: Body, stop: Event | None = None) -> Header:
    """
    Read the header of a JPEG file.

    Raises:
        ImageError: It is not a JPEG, is truncated, or has too many segments or scans.
        StoppedError: `stop` was set.
    """
    if body[:2] != _START_OF_IMAGE:
        raise ImageError(f"expected a JPEG file, got {kind_of(body)}")
    view = memoryview(body)
    kept: list[memoryview] = [view[:2]]
    frame, exif, position = b"", b"", 2
    for marker, position, end in _segments(view):
        if marker in _FRAMES:
            if frame:
                raise ImageError("expected a JPEG file with one frame")
            frame = bytes(view[position + 4 : end])
        if marker not in _DROPPED:
            kept.append(view[position:end])
        elif marker == _EXIF and not exif and view[position + 4 :][:6] == _EXIF_NAME:
            exif = bytes(view[position + 4 + len(_EXIF_NAME) : end])
    if sum(map(len, kept)) - len(kept[-1]) > MAX_TABLE_BYTES:
        raise ImageError(f"expected tables of at most {MAX_TABLE_BYTES} bytes")
    if len(frame) < 6:
        raise ImageError("expected a JPEG file with one frame")
    n_scans = _n_scans(view[position:], stop)
    if n_scans > MAX_SCANS:
        raise ImageError(f"expected a JPEG file of at most {MAX_SCANS} scans, got more")
    return Header(
        width=int.from_bytes(frame[3:5], "big"),
        height=int.from_bytes(frame[1:3], "big"),
        bit_depth=frame[0],
        orientation=orientation(exif),
        parts=tuple(kept),
        n_scans=n_scans,
    )


def _segments(view: memoryview) -> Iterator[_Segment]:
    """Yield marker, start and end of each segment; the last one is all scans."""
    position = len(_START_OF_IMAGE)
    for _ in range(MAX_SEGMENTS):
        if position + 4 > len(view) or view[position] != 0xFF:
            break
        marker = view[position + 1]
        if marker == _START_OF_SCAN:
            yield marker, position, len(view)
            return
        if marker == 0xFF:  # fill
            position += 1
            continue
        end = position + 2 + int.from_bytes(view[position + 2 : position + 4], "big")
        if end < position + 4 or end > len(view):
            break
        yield marker, position, end
        position = end
    else:
        raise ImageError(f"expected at most {MAX_SEGMENTS} segments before the pixels")
    raise ImageError("expected a whole JPEG file, got a truncated or damaged one")


def _n_scans(view: memoryview, stop: Event | None) -> int:
    """Return the number of scans; the count may be a few too high."""
    n = 0
    for step in range(0, len(view), _STEP_BYTES):
        check_wanted(stop)
        # numpy releases the interpreter lock, which `bytes.count` does not.
        part = np.frombuffer(view[step : step + _STEP_BYTES + 1], np.uint8)
        found = (part[:-1] == 0xFF) & (part[1:] == _START_OF_SCAN)
        n += int(np.count_nonzero(found))
        if n > MAX_SCANS:
            break
    return n
