"""
Checks on the head of a request, so that no two parsers can read it differently.

httptools itself refuses several Content-Length headers, Content-Length together with
Transfer-Encoding, a bare CR or LF, folded lines and control characters. The checks here
cover what it accepts. `Unfinished` limits what comes in pieces: it counts bytes that
complete nothing.
"""

import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, final

import httptools

from app.errors import (
    BadRequestError,
    HeadersTooLargeError,
    ProblemError,
    TargetTooLongError,
)
from app.settings import Settings

Fields = Sequence[tuple[bytes, bytes]]

_UPGRADE_FIELDS = frozenset({b"connection", b"http2-settings", b"upgrade"})
_FIELD_OVERHEAD = len(b": \r\n")
_CACHED_TARGETS = 256  # nearly all requests are for one of a few targets


@lru_cache(_CACHED_TARGETS)
def target(url: bytes) -> tuple[str, bytes, bytes]:
    """Return the path of a target, decoded and raw, and its query."""
    parts = httptools.parse_url(url)
    raw_path, query = parts.path, parts.query or b""
    return urllib.parse.unquote(raw_path.decode("ascii")), raw_path, query


def take_host(url: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    """
    Replace the Host header by the host of an absolute target (RFC 9112, 3.2.2).

    Raises:
        BadRequestError: The target has another scheme, or user information.
    """
    parts: Any = httptools.parse_url(url)  # its type stub lacks None
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
    Check that the framing and the host of a request are unambiguous.

    Args:
        headers: The fields by name; the last one where a name is repeated.

    Raises:
        BadRequestError: They are ambiguous (RFC 9112, 3.2, 6.1 and 11.2).
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
                "expected Transfer-Encoding to be chunked only, and none in HTTP/1.0"
            )


def content_length(fields: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Return the Content-Length, which the parser has checked; None without one."""
    for name, value in fields:
        if name == b"content-length":
            return int(value.lstrip(b"0") or b"0")
    return None


def check_size(target: bytes, fields: Fields, limit: int) -> None:
    """
    Check the size of a head in bytes.

    Raises:
        TargetTooLongError: The target alone is over `limit`.
        HeadersTooLargeError: The target and the headers together are over `limit`.
    """
    size = sum(len(name) + len(value) + _FIELD_OVERHEAD for name, value in fields)
    if len(target) + size > limit:
        raise too_large(target, limit)


def too_many(limit: int) -> ProblemError:
    """Return the error for more than `limit` headers."""
    return HeadersTooLargeError(f"expected at most {limit} headers, got more")


def too_large(target: bytes, limit: int) -> ProblemError:
    """Return the error for a head, or trailers, of more than `limit` bytes."""
    if len(target) > limit:
        return TargetTooLongError(f"expected a target of at most {limit} bytes")
    return HeadersTooLargeError(
        f"expected at most {limit} bytes of headers, or of trailers and extensions"
    )


def without_upgrade(
    method: bytes, target: bytes, version: str, fields: Fields
) -> bytes:
    """Return the head of a request without its Upgrade header."""
    kept = [field for field in fields if field[0] not in _UPGRADE_FIELDS]
    if any(n == b"connection" and b"close" in v.lower() for n, v in fields):
        kept.append((b"connection", b"close"))
    lines = b"".join(b"%b: %b\r\n" % field for field in kept)
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, target, version.encode(), lines)


def problem(error: httptools.HttpParserError) -> ProblemError:
    """Return the error that the parser, or a check in its callbacks, has raised."""
    found = error.__context__
    if isinstance(found, ProblemError):
        return found
    if isinstance(error, httptools.HttpParserCallbackError):
        return BadRequestError("expected a path as the target, got something else")
    return BadRequestError(f"expected an HTTP/1.1 request, got invalid data: {error}")


@final
class Unfinished:
    """
    Counts the bytes of packets that end in the middle of a head or a body.

    Within a body, only packets without body bytes count: chunk extensions and trailers.
    The first packet of a head may also hold the end of another request. It is counted
    only at the start of a connection, so a limit may be exceeded by one packet.
    """

    def __init__(self, limits: Settings) -> None:
        self._limits = limits
        self._n_bytes = 0
        self._counted: tuple[object, int] = (None, 0)

    def begin(self) -> None:
        """Reset the count: a head is complete."""
        self._n_bytes = 0

    def has(self, scope: object) -> bool:
        """Return whether packets of this request have been counted."""
        return self._counted[0] is scope

    def problem(
        self, size: int, scope: object, n_body: int, url: bytes, *, is_first: bool
    ) -> ProblemError | None:
        """
        Count a packet; return the error if the count is over the limit.

        Args:
            scope: The scope of the packet's request.
            n_body: Bytes of the request body received so far.
            is_first: Whether this is the first request of the connection.
        """
        counted, n_counted = self._counted
        if counted is not scope or n_counted != n_body:
            self._counted = (scope, n_body)
            self._n_bytes = 0 if counted or not is_first else size
        else:
            self._n_bytes += size
        limit = self._limits.max_header_bytes
        return too_large(url, limit) if self._n_bytes > limit else None
