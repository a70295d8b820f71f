"""
Content negotiation: the format of a request and of its response (RFC 9110, 8.4 and 12).

To add a format, define a `Format` here, and add it to the calls that read or write it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import final

from app.errors import NotAcceptableError, UnsupportedMediaTypeError


@final
@dataclass(frozen=True, eq=False)
class Format:
    """A media type that the service reads or writes."""

    name: str

    @cached_property
    def media_type(self) -> bytes:
        """The media type as the value of a header."""
        return self.name.encode()


Formats = tuple[Format, ...]

JSON = Format("application/json")
SAFETENSORS = Format("application/vnd.safetensors")
NPY = Format("application/x-npy")
PNG = Format("image/png")
JPEG = Format("image/jpeg")

_FORMATS = {format_.name: format_ for format_ in (JSON, SAFETENSORS, NPY, PNG, JPEG)}
_CACHE = 256


def names(formats: Formats) -> str:
    """Return media types as one readable list."""
    return ", ".join(format_.name for format_ in formats)


def request_format(
    content_type: bytes | None,
    content_encoding: bytes | None,
    readable: Formats,
    note: str = "",
) -> Format:
    """
    Return the format of a body.

    Args:
        note: A text to add to the error.

    Raises:
        UnsupportedMediaTypeError: It is none of `readable`, or is encoded.
    """
    if content_encoding is not None and content_encoding.strip().lower() != b"identity":
        raise UnsupportedMediaTypeError(
            "expected no Content-Encoding, or identity",
            headers=((b"accept-encoding", b"identity"),),
        )
    found = _content_type(content_type)
    if found not in readable:
        raise UnsupportedMediaTypeError(
            f"expected a Content-Type of {names(readable)}, "
            f"got {'none' if content_type is None else 'another'}" + _also(note),
            headers=((b"accept", names(readable).encode()),),
        )
    return found


@lru_cache(_CACHE)
def response_format(accept: bytes | None, writable: Formats, note: str = "") -> Format:
    """
    Return the format with the highest quality in Accept; of equal ones, the first.

    If Accept names only images and `*/*`, as some browsers do for `<img>`, an image is
    preferred among formats of equal quality.

    Args:
        note: A text to add to the error.

    Raises:
        NotAcceptableError: The client accepts none of `writable`.
    """
    if accept is None:
        return writable[0]
    ranges = [_range(part) for part in accept.decode("latin-1").lower().split(",")]
    qualities = [_quality(format_.name, ranges) for format_ in writable]
    best = max(qualities)
    if best <= 0:
        raise NotAcceptableError(
            f"expected Accept to allow one of {names(writable)}" + _also(note)
        )
    preferred = [f for f, q in zip(writable, qualities, strict=True) if q == best]
    named = {range_.split("/")[0] for range_, quality in ranges if quality > 0} - {"*"}
    if named == {"image"}:
        images = (f for f in preferred if f.name.startswith("image/"))
        return next(images, preferred[0])
    return preferred[0]


@lru_cache(_CACHE)
def _content_type(content_type: bytes | None) -> Format | None:
    if content_type is None:
        return None
    name, *parameters = content_type.decode("latin-1").lower().split(";")
    for parameter in parameters:
        key, _, value = parameter.strip().partition("=")
        if key == "charset" and value.strip('"') not in ("utf-8", "utf8"):
            return None
    return _FORMATS.get(name.strip())


def _also(note: str) -> str:
    return f"; {note}" if note else ""


def _range(part: str) -> tuple[str, float]:
    """Return a media range and its quality, which is 0 if it is malformed."""
    name, *parameters = (field.strip() for field in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            quality = _number(value.strip())
    return name, quality


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1 else 0.0


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Return the quality of the most specific range that matches a media type."""
    for name in (media_type, media_type.split("/")[0] + "/*", "*/*"):
        qualities = [quality for range_, quality in ranges if range_ == name]
        if qualities:
            return max(qualities)
    return 0.0
