"""The header of an image file, in any format."""

from typing import Literal, NamedTuple, final

from app.wire.body import Body

_BYTE_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II": "little", b"MM": "big"}
_ORIENTATION = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12
# How files of well-known formats begin.
_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "a PNG file; its media type is image/png"),
    (b"\xff\xd8\xff", "a JPEG file; its media type is image/jpeg"),
    (b"GIF8", "a GIF file; convert it to PNG"),
    (b"BM", "a BMP file; convert it to PNG"),
    (b"RIFF", "a WebP file; convert it to PNG"),
    (b"<", "markup, such as SVG or HTML; convert a drawing to PNG"),
    (b"data:", "a data URL; decode its base64, or send it as x_png in JSON"),
    (b"{", "JSON; its media type is application/json"),
)


class ImageError(ValueError):
    """A file is not a supported image; the message says what was expected."""


@final
class Header(NamedTuple):
    """
    The properties of an image that are known before it is decoded.

    Attributes:
        orientation: The orientation of the camera, 1 to 8 as in Exif.
        parts: Views of the parts of the file that the pixels depend on.
        n_scans: The number of passes of the decoder over the image.
    """

    width: int
    height: int
    bit_depth: int
    orientation: int
    parts: tuple[memoryview, ...]
    n_scans: int = 1


def kind_of(content: Body) -> str:
    """Return what a file is that is not of the expected format, and the next step."""
    if not content:
        return "an empty body"
    start = bytes(content[:8])
    for beginning, words in _BEGINNINGS:
        if start.startswith(beginning):
            return words
    return "something else"


def orientation(exif: bytes) -> int:
    """
    Return the orientation (Exif 2.3, table 4) in the first directory of Exif data.

    It is 1 (upright) if the data have none or are damaged. Nothing else is read.
    """
    order = _BYTE_ORDERS.get(exif[:2])
    if order is None:
        return 1

    def integer(start: int, size: int) -> int:
        return int.from_bytes(exif[start : start + size], order)

    first = integer(4, 4)
    for i in range(min(integer(first, 2), len(exif) // _ENTRY_BYTES)):
        entry = first + 2 + i * _ENTRY_BYTES
        if integer(entry, 2) == _ORIENTATION and integer(entry + 2, 2) == _SHORT:
            value = integer(entry + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1
