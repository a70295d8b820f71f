"""The header of an image file, in any format."""

from typing import Literal, NamedTuple, final

_BYTE_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II": "little", b"MM": "big"}
_ORIENTATION = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12


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
