"""
The segments of a JPEG file (ITU-T T.81, annex B) up to its first scan.

The decoder gets none of what programs and cameras add to the pixels: previews, further
pictures, profiles, texts. What makes it turn colours into RGB stays.
"""

from app.http.exchange import Body
from app.wire.images.header import Header, ImageError, orientation

# A progressive file may have any number of scans, each a pass over the whole image;
# programs write ten or a few more.
MAX_SCANS = 32

_START_OF_IMAGE = b"\xff\xd8"
_START_OF_SCAN = 0xDA
# Frames of every kind of coding; the numbers between them are other segments.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EXIF = 0xE1
_EXIF_NAME = b"Exif\0\0"
# APP1 to APP13, APP15 and comments; APP0 (JFIF) and APP14 (Adobe) tell colours.
_DROPPED = (frozenset(range(0xE1, 0xF0)) | {0xFE}) - {0xEE}
_Segment = tuple[int, memoryview]


def read(body: Body) -> Header:
    """
    Look through a JPEG file.

    Raises:
        ImageError: It is no JPEG, is cut off, or has too many scans.
    """
    if body[:2] != _START_OF_IMAGE:
        raise ImageError("expected a JPEG file, got something else")
    segments, scans = _segments(memoryview(body))
    frames = [whole[4:] for marker, whole in segments if marker in _FRAMES]
    if len(frames) != 1 or len(frames[0]) < 6:
        raise ImageError("expected a JPEG file with one frame")
    exif = (bytes(whole[4:]) for marker, whole in segments if marker == _EXIF)
    names = (e.removeprefix(_EXIF_NAME) for e in exif if e.startswith(_EXIF_NAME))
    decoded = (whole for marker, whole in segments if marker not in _DROPPED)
    content = b"".join((_START_OF_IMAGE, *decoded, scans))
    if content.count(bytes((0xFF, _START_OF_SCAN))) > MAX_SCANS:
        raise ImageError(f"expected a JPEG file of at most {MAX_SCANS} scans, got more")
    (frame,) = frames
    return Header(
        width=int.from_bytes(frame[3:5], "big"),
        height=int.from_bytes(frame[1:3], "big"),
        bit_depth=frame[0],
        orientation=orientation(next(names, b"")),
        content=content,
    )


def _segments(view: memoryview) -> tuple[list[_Segment], memoryview]:
    """Return the marker and the bytes of each segment, and all from the first scan."""
    segments: list[_Segment] = []
    position = len(_START_OF_IMAGE)
    while position + 4 <= len(view) and view[position] == 0xFF:
        marker = view[position + 1]
        if marker == _START_OF_SCAN:
            return segments, view[position:]
        if marker == 0xFF:  # fill
            position += 1
            continue
        end = position + 2 + int.from_bytes(view[position + 2 : position + 4], "big")
        segments.append((marker, view[position:end]))
        position = max(end, position + 4)
    raise ImageError("expected a whole JPEG file, got one cut off or damaged")
