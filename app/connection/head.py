"""
What the head of a request must be like, for whoever reads it to read it alike.

httptools itself refuses several Content-Length, one beside a Transfer-Encoding, a bare
CR or LF, folded lines and control characters; here is what it lets through.
"""

import urllib.parse
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import httptools

from app.errors import (
    BadRequestError,
    HeadersTooLargeError,
    ProblemError,
    TargetTooLongError,
)

Fields = Sequence[tuple[bytes, bytes]]

_OF_UPGRADES = frozenset({b"connection", b"http2-settings", b"upgrade"})
_FIELD_OVERHEAD = len(b": \r\n")
_TARGETS = 256  # are remembered as parsed: nearly every request is for one of a few


@lru_cache(_TARGETS)
def target(url: bytes) -> tuple[str, bytes, bytes]:
    """Return the path of a target, as text and as it came, and its query."""
    parts = httptools.parse_url(url)
    raw_path, query = parts.path, parts.query or b""
    return urllib.parse.unquote(raw_path.decode("ascii")), raw_path, query


def take_host(url: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    """
    Have the host in a target, if there is one, replace Host (RFC 9112, 3.2.2).

    Raises:
        BadRequestError: The target is of another scheme, or names a user.
    """
    parts: Any = httptools.parse_url(url)  # its types know no other forms
    if parts.schema is None:
        return
    if parts.schema.lower() not in {b"http", b"https"} or parts.userinfo:
        raise BadRequestError("expected a target that is a path, or begins with http")
    host = b"[%b]" % parts.host if b":" in parts.host else parts.host
    host += b":%d" % parts.port if parts.port else b""
    fields[:] = [field for field in fields if field[0] != b"host"]
    fields.append((b"host", host))


def check_fields(headers: Mapping[bytes, bytes], fields: Fields, version: str) -> None:
    """
    Check that the framing and the host of a request can be read in one way only.

    Args:
        headers: The fields by their names; of several with one name, the last.

    Raises:
        BadRequestError: They cannot (RFC 9112, 3.2, 6.1 and 11.2).
    """
    if version not in {"1.1", "1.0"}:
        raise BadRequestError(f"expected HTTP/1.1 or HTTP/1.0, got HTTP/{version}")
    if b"host" not in headers and version == "1.1":
        raise BadRequestError("expected one Host, got none")
    if len(headers) != len(fields):
        n_hosts = sum(name == b"host" for name, _ in fields)
        if n_hosts > 1:
            raise BadRequestError(f"expected one Host, got {n_hosts}")
    if b"transfer-encoding" in headers:
        coding = headers[b"transfer-encoding"].lower()
        n_codings = sum(name == b"transfer-encoding" for name, _ in fields)
        if coding != b"chunked" or n_codings > 1 or version != "1.1":
            raise BadRequestError(
                "expected no Transfer-Encoding but chunked, and none in HTTP/1.0"
            )


def check_count(fields: Fields, limit: int) -> None:
    """
    Check the number of headers.

    Raises:
        HeadersTooLargeError: There are more than `limit`.
    """
    if len(fields) > limit:
        raise too_many(limit)


def check_size(target: bytes, fields: Fields, limit: int) -> None:
    """
    Check the size of a head in bytes.

    Raises:
        TargetTooLongError: The target alone is over `limit`.
        HeadersTooLargeError: The target and the headers are.
    """
    size = sum(len(name) + len(value) + _FIELD_OVERHEAD for name, value in fields)
    if len(target) + size > limit:
        raise too_large(target, limit)


def too_many(limit: int) -> ProblemError:
    """Return what to say of more than `limit` headers."""
    return HeadersTooLargeError(f"expected at most {limit} headers, got more")


def too_large(target: bytes, limit: int) -> ProblemError:
    """Return what to say of a head, or of trailers, of more than `limit` bytes."""
    if len(target) > limit:
        return TargetTooLongError(f"expected a target of at most {limit} bytes")
    return HeadersTooLargeError(
        f"expected at most {limit} bytes of headers, or of trailers and extensions"
    )


def without_upgrade(
    method: bytes, target: bytes, version: str, fields: Fields
) -> bytes:
    """Return the head of a request again, without asking for another protocol."""
    kept = [field for field in fields if field[0] not in _OF_UPGRADES]
    if any(n == b"connection" and b"close" in v.lower() for n, v in fields):
        kept.append((b"connection", b"close"))
    lines = b"".join(b"%b: %b\r\n" % field for field in kept)
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, target, version.encode(), lines)


def problem(error: httptools.HttpParserError) -> ProblemError:
    """Return what the parser, or a check that it called, has found wrong."""
    found = error.__context__
    if isinstance(found, ProblemError):
        return found
    if isinstance(error, httptools.HttpParserCallbackError):
        return BadRequestError("expected a path as the target, got something else")
    return BadRequestError(f"expected a request of HTTP/1.1; what came is not: {error}")
