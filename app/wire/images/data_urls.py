"""Images in JSON: `x_png` in place of x, one data URL (RFC 2397) or a list of them."""

import binascii
from typing import Any

import numpy as np
import orjson

from app.errors import ContentTooLargeError, Fault, UnprocessableError, refuse
from app.wire.body import Body
from app.wire.images.decode import ImageFile
from app.wire.json.strict import kind
from app.wire.negotiation import JPEG, PNG

NAME = "x_png"
# Parsing this much blocks the event loop for about two milliseconds.
MAX_DOCUMENT_BYTES = 1 << 20
# Each of these bytes may become a Python object. The smallest images, as many as fit in
# a body, need fewer: two quotes and a comma each, and one comma between two of them.
MAX_MARKS = 1 << 16
_MARKS = b'"[{,'
_KEY = b'"x_png"'
_KEY_WITHIN = 4096
_PREFIXES = (("data:image/png;base64,", PNG), ("data:image/jpeg;base64,", JPEG))
_WANTED = "a data URL, data:image/png;base64,... or data:image/jpeg;base64,..."


def is_named(body: Body) -> bool:
    """Return whether a JSON body seems to have images, judging by its start."""
    return body.find(_KEY, 0, _KEY_WITHIN) >= 0


def members(body: Body) -> dict[str, Any] | None:
    """
    Return the members of a JSON body with `x_png`, None if it has no such member.

    Raises:
        UnprocessableError: It is not valid JSON, or has a duplicate key.
        ContentTooLargeError: It is too long for images in JSON, or has too many.
    """
    if len(body) > MAX_DOCUMENT_BYTES:
        raise ContentTooLargeError(
            f"expected at most {MAX_DOCUMENT_BYTES} bytes of JSON with {NAME}; "
            "an image alone may be longer"
        )
    text = np.frombuffer(body, np.uint8)
    n_marks = sum(int(np.count_nonzero(text == mark)) for mark in _MARKS)
    if n_marks > MAX_MARKS:
        raise ContentTooLargeError(
            f"expected fewer images or other members: at most {MAX_MARKS} quotes, "
            f"brackets and commas, got {n_marks}"
        )
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        what = f"expected JSON, got an error at position {error.pos}: {error.msg}"
        raise UnprocessableError(Fault("", what)) from None
    if not isinstance(found, dict) or NAME not in found:
        return None
    others = (value for name, value in found.items() if name != NAME)
    n_strings = len(found) + len(_urls(found[NAME]))
    n_strings += sum(isinstance(value, str) for value in others)
    # The parser keeps one of two equal keys; the text has the quotes of both.
    if body.count(b'"') != 2 * n_strings:
        refuse("", "expected distinct keys, and strings without escapes")
    return found


def files(x_png: object) -> list[ImageFile]:
    """
    Return the images of the member `x_png`.

    Raises:
        UnprocessableError: It is not a data URL or a list of them.
    """
    return [_file(pointer, url) for pointer, url in _urls(x_png)]


def _urls(x_png: object) -> list[tuple[str, str]]:
    """Return each string with its pointer."""
    if isinstance(x_png, str):
        return [(f"/{NAME}", x_png)]
    if not isinstance(x_png, list) or not x_png:
        got = "none" if x_png == [] else kind(x_png)
        refuse(f"/{NAME}", f"expected {_WANTED}, or a list of them, got {got}")
    for i, url in enumerate(x_png):
        if not isinstance(url, str):
            refuse(f"/{NAME}/{i}", f"expected {_WANTED}, got {kind(url)}")
    return [(f"/{NAME}/{i}", url) for i, url in enumerate(x_png)]


def _file(pointer: str, url: str) -> ImageFile:
    found = [(p, format_) for p, format_ in _PREFIXES if url.startswith(p)]
    if not found:
        refuse(pointer, f"expected {_WANTED}, got {_kind_of(url)}")
    ((prefix, format_),) = found
    try:
        content = binascii.a2b_base64(url[len(prefix) :], strict_mode=True)
    except ValueError:  # includes binascii.Error
        refuse(pointer, "expected base64 (RFC 4648, section 4), with padding")
    return ImageFile(pointer, format_, content)


def _kind_of(url: str) -> str:
    """Return what a string is that is not a data URL of a readable image."""
    if url.startswith("data:image/"):
        return "another kind of image; convert it to PNG or JPEG"
    if url.startswith(("http://", "https://", "file:", "/")):
        return "an address or a path; the image itself must be in the request"
    if url.startswith(("iVBORw0", "/9j/")):
        return "base64 without the start data:image/...;base64,"
    return "something else"
