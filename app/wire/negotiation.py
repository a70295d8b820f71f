"""
Which format a request is in and which its answer will be in (RFC 9110, 8.4 and 12).

A further format is one more `Format`, and a place in the tuples of the operations that
read or write it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import final

from app.errors import NotAcceptableError, UnsupportedMediaTypeError


@final
@dataclass(frozen=True, eq=False)
class Format:
    """A media type that is read or written here."""

    name: str

    @cached_property
    def media_type(self) -> bytes:
        """The media type as a header carries it."""
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
        note: What else a client should know whose format is not readable.

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
    Return the format the client likes best; of those it likes equally, the first.

    A client that names nothing but images and `*/*`, as some browsers do for `<img>`,
    likes an image best of what it likes equally.

    Args:
        note: What else a client should know that accepts nothing writable.

    Raises:
        NotAcceptableError: It accepts none of `writable`.
    """
    if accept is None:
        return writable[0]
    ranges = [_range(part) for part in accept.decode("latin-1").lower().split(",")]
    qualities = [_quality(format_.name, ranges) for format_ in writable]
    best = max(qualities)
    if best <= 0:
        raise NotAcceptableError(
            f"expected to be asked for {names(writable)}" + _also(note)
        )
    liked = [f for f, q in zip(writable, qualities, strict=True) if q == best]
    named = {range_.split("/")[0] for range_, quality in ranges if quality > 0} - {"*"}
    if named == {"image"}:
        return next((f for f in liked if f.name.startswith("image/")), liked[0])
    return liked[0]


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
    """Return a media range and its quality; 0, never chosen, if it is malformed."""
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
    """Return the quality of the most specific range that holds a media type."""
    for name in (media_type, media_type.split("/")[0] + "/*", "*/*"):
        qualities = [quality for range_, quality in ranges if range_ == name]
        if qualities:
            return max(qualities)
    return 0.0
