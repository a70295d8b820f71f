"""
Content negotiation: the format of a request and of its response (RFC 9110, 8.4 and 12).

To add a format, define a `Format` here, have `app.http.reader` or `app.http.writer` use
it, and add it to the calls that read or write it (`app.call_parts.formats`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import final

from app.errors import NotAcceptableError, UnsupportedMediaTypeError


@final
@dataclass(frozen=True, eq=False)
class Format:
    """
    A media type that the service reads or writes.

    Attributes:
        parameters: What responses have after the name.
    """

    name: str
    parameters: str = ""

    @cached_property
    def media_type(self) -> bytes:
        """The media type as the value of a header."""
        return (self.name + self.parameters).encode()


Formats = tuple[Format, ...]

JSON = Format("application/json")
SAFETENSORS = Format("application/vnd.safetensors")
NPY = Format("application/x-npy")
CSV = Format("text/csv", "; charset=utf-8")
PARQUET = Format("application/vnd.apache.parquet")
PNG = Format("image/png")
JPEG = Format("image/jpeg")

_FORMATS = {
    format_.name: format_
    for format_ in (JSON, SAFETENSORS, NPY, CSV, PARQUET, PNG, JPEG)
}
_CACHE = 256
# Browsers send ten media types, a parameter each. What is beyond the limits is ignored:
# a header of 16 KB could have 16,000 entries, which take 10 ms.
MAX_ENTRIES = 128
_MAX_PARAMETERS = 16

# A media type is repeated in an error only if it is short and plain (RFC 6838, 4.2).
_PLAIN = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}")
_TOKEN = re.compile(r"[a-z0-9-]{1,32}")
_CODINGS = ("gzip", "x-gzip", "identity")
# Other names that programs use for the formats.
_MEANT = {
    "text/json": JSON,
    "text/x-json": JSON,
    "application/x-json": JSON,
    "application/safetensors": SAFETENSORS,
    "application/x-safetensors": SAFETENSORS,
    "application/npy": NPY,
    "application/numpy": NPY,
    "application/x-numpy": NPY,
    "application/csv": CSV,
    "text/x-csv": CSV,
    "text/comma-separated-values": CSV,
    "application/parquet": PARQUET,
    "application/x-parquet": PARQUET,
    "image/jpg": JPEG,
    "image/pjpeg": JPEG,
    "image/x-png": PNG,
}
_ARROW = frozenset(
    {"application/vnd.apache.arrow.file", "application/vnd.apache.arrow.stream"}
)

_SPREADSHEETS = frozenset(
    {
        "application/vnd.ms-excel",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.oasis.opendocument.spreadsheet",
    }
)


def names(formats: Formats) -> str:
    """Return media types as one readable list."""
    return ", ".join(format_.name for format_ in formats)


@lru_cache(_CACHE)  # of a request with an error, nothing is cached
def request_format(
    content_type: bytes | None,
    content_encoding: bytes | None,
    readable: Formats,
    note: str = "",
) -> Format:
    """
    Return the format of a body.

    Args:
        note: Why images are not read, for the error.

    Raises:
        UnsupportedMediaTypeError: It is none of `readable`, or is encoded.
    """
    if content_encoding is not None:
        check_coding(content_encoding)
    found = _content_type(content_type)
    if found not in readable:
        raise UnsupportedMediaTypeError(
            f"expected a Content-Type of {names(readable)}, "
            f"got {_what_came(content_type, readable)}"
            + _also(note if (content_type or b"").startswith(b"image/") else ""),
            headers=((b"accept", names(readable).encode()),),
        )
    return found


def check_coding(content_encoding: bytes) -> None:
    """
    Check that a body with this Content-Encoding can be decoded.

    Raises:
        UnsupportedMediaTypeError: It cannot.
    """
    coding = content_encoding.strip().lower().decode("latin-1")
    if coding not in _CODINGS:
        got = coding if _TOKEN.fullmatch(coding) else "something else"
        raise UnsupportedMediaTypeError(
            f"expected a Content-Encoding of gzip, identity or none, got {got}",
            headers=((b"accept-encoding", b"gzip, identity"),),
        )


@lru_cache(_CACHE)
def response_format(accept: bytes | None, writable: Formats, note: str = "") -> Format:
    """
    Return the format with the highest quality in Accept; of equal ones, the first.

    If Accept names only images and `*/*`, as some browsers do for `<img>`, an image is
    preferred among formats of equal quality.

    Args:
        note: Why images are not written, for the error.

    Raises:
        NotAcceptableError: The client accepts none of `writable`.
    """
    if accept is None:
        return writable[0]
    ranges = with_qualities(accept)
    qualities = [_quality(format_.name, ranges) for format_ in writable]
    best = max(qualities)
    if best <= 0:
        raise NotAcceptableError(
            f"expected Accept to allow one of {names(writable)}"
            + _also(note if b"image/" in accept else "")
        )
    preferred = [f for f, q in zip(writable, qualities, strict=True) if q == best]
    named = {range_.split("/")[0] for range_, quality in ranges if quality > 0} - {"*"}
    if named == {"image"}:
        images = (f for f in preferred if f.name.startswith("image/"))
        return next(images, preferred[0])
    return preferred[0]


def with_qualities(listed: bytes) -> list[tuple[str, float]]:
    """
    Return the entries of Accept or Accept-Encoding with their qualities, in lower case.

    A malformed quality counts as 0 (RFC 9110, 12.4.2). After the first `MAX_ENTRIES`,
    entries are ignored.
    """
    parts = listed.decode("latin-1").lower().split(",", MAX_ENTRIES)[:MAX_ENTRIES]
    return [_entry(part) for part in parts]


def _content_type(content_type: bytes | None) -> Format | None:
    if content_type is None:
        return None
    listed = content_type.decode("latin-1").lower()
    name, *parameters = listed.split(";", _MAX_PARAMETERS)
    for parameter in parameters:
        key, _, value = parameter.strip().partition("=")
        if key == "charset" and value.strip('"') not in ("utf-8", "utf8"):
            return None
    return _FORMATS.get(name.strip())


def _what_came(content_type: bytes | None, readable: Formats) -> str:
    """Return what came in place of a readable format, and which header to send."""
    if content_type is None:
        return f"none; {_header(readable[0])}"
    name, _, parameters = content_type.decode("latin-1").lower().partition(";")
    name = name.strip()
    if parameters and _FORMATS.get(name) in readable:
        return f"{name} with a charset other than utf-8; send the text in UTF-8"
    got = name if _PLAIN.fullmatch(name) else "something else"
    step = _next_step(name, readable)
    return f"{got}; {step}" if step else got


def _next_step(name: str, readable: Formats) -> str:
    """Return what to do about a media type, by what usually sends it; may be empty."""
    meant = _MEANT.get(name)
    if meant is not None and meant in readable:
        return _header(meant)
    if name == CSV.name:
        return "it is for rows of a model whose columns have names"
    if meant is PARQUET or name == PARQUET.name or name in _ARROW:
        return _instead_of_a_packed_table(name, readable)
    files = (PNG, CSV, NPY, SAFETENSORS)
    file = next((f for f in files if f in readable), readable[0])
    if name in _SPREADSHEETS and CSV in readable:
        return f"save it as CSV, with commas and decimal points, and send {CSV.name}"
    match name:
        case "application/x-www-form-urlencoded":
            return f"curl -d sends this by itself: add -H 'Content-Type: {JSON.name}'"
        case "text/plain":
            return f"fetch sends this for a string; {_header(JSON)}"
        case "multipart/form-data":
            line = f"curl URL -H 'Content-Type: {file.name}' --data-binary @FILE"
            return f"send the file alone, not in a form: {line}"
        case "application/octet-stream":
            return f"name the format of the file, such as {file.name}"
    is_image = name.startswith("image/") and name not in _FORMATS
    return "convert the image to PNG or JPEG" if is_image and PNG in readable else ""


def _instead_of_a_packed_table(name: str, readable: Formats) -> str:
    """Return what to send in place of a file of Parquet or Arrow."""
    if PARQUET in readable:
        return "write it as Parquet, pyarrow.parquet.write_table(table, file)"
    other = CSV if CSV in readable else readable[-1]
    step = f"unpack it and send {other.name}, or a data frame by the Python client"
    lacks_extra = CSV in readable and name not in _ARROW
    why = "the service lacks the extra `parquet`: pip install '.[parquet]'; or "
    return why * lacks_extra + step


def _header(format_: Format) -> str:
    return f"send the header Content-Type: {format_.name}"


def _also(note: str) -> str:
    return f"; {note}" if note else ""


def _entry(part: str) -> tuple[str, float]:
    fields = part.split(";", _MAX_PARAMETERS)
    name, *parameters = (field.strip() for field in fields)
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
