"""
Cross-origin requests (the CORS protocol of the Fetch standard, 3.3).

Credentials mode is never allowed: the access key is a header that a page's script sets,
not something that the browser attaches by itself.
"""

from collections.abc import Sequence
from typing import final

from app.errors import Headers
from app.http.request import Request
from app.http.response import Response

EXPOSED = b"X-Request-ID, VAE-Seed, Retry-After, X-Model-Version, Server-Timing"
_MAX_AGE_SECONDS = 600
_VARY = (b"vary", b"Origin")
_PREFLIGHT: Headers = (
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, If-None-Match, X-Request-ID, X-Request-Timeout",
    ),
    (b"access-control-max-age", b"%d" % _MAX_AGE_SECONDS),
)


@final
class Cors:
    """Allows cross-origin requests from a list of origins; `*` allows all."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._is_for_all = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    def headers(self, request: Request) -> Headers:
        """Return the CORS headers of the response to a request."""
        origin = self._allowed(request)
        if origin is None:
            return (_VARY,)
        allowed = (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", EXPOSED),
            (b"timing-allow-origin", origin),  # makes Server-Timing visible to scripts
        )
        return allowed if self._is_for_all else (*allowed, _VARY)

    def preflight(self, request: Request) -> Response | None:
        """Return the response to a preflight of an allowed origin, for any path."""
        if (
            request.method != "OPTIONS"
            or b"access-control-request-method" not in request.headers
            or self._allowed(request) is None
        ):
            return None
        return Response(b"text/plain", [b""], headers=_PREFLIGHT)

    def _allowed(self, request: Request) -> bytes | None:
        """Return the value of Access-Control-Allow-Origin, None if not allowed."""
        if self._is_for_all:
            return b"*"
        origin = request.headers.get(b"origin")
        return origin if origin in self._origins else None
