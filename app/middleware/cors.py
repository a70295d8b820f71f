"""
Cross-origin requests (the CORS protocol of the Fetch standard, 3.3).

Credentials are never allowed: a key is a header that a page's own program sets, not
something that a browser attaches by itself.
"""

from collections.abc import Sequence
from typing import final

from app.errors import Headers
from app.http.exchange import Request, Response

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
    """What pages of these origins may ask; `*` names all origins."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._is_for_all = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    def headers(self, request: Request) -> Headers:
        """Return what every answer to a request carries."""
        origin = self._allowed(request)
        if origin is None:
            return (_VARY,)
        allowed = (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", EXPOSED),
            (b"timing-allow-origin", origin),  # or its program sees no Server-Timing
        )
        return allowed if self._is_for_all else (*allowed, _VARY)

    def preflight(self, request: Request) -> Response | None:
        """Answer a preflight of an allowed origin, whatever its path."""
        if (
            request.method != "OPTIONS"
            or b"access-control-request-method" not in request.headers
            or self._allowed(request) is None
        ):
            return None
        return Response(b"text/plain", [b""], headers=_PREFLIGHT)

    def _allowed(self, request: Request) -> bytes | None:
        """Return what origin is allowed, as headers say it."""
        if self._is_for_all:
            return b"*"
        origin = request.headers.get(b"origin")
        return origin if origin in self._origins else None
