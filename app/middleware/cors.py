"""
Cross-origin requests (the CORS protocol of the Fetch standard, 3.3).

Credentials mode is never allowed: the access key is a header that a page's script sets,
not something that the browser attaches by itself.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import final

from app.errors import Headers
from app.http.request import Request
from app.http.response import Response

logger = logging.getLogger(__name__)

SETTING = "VAE_CORS_ORIGINS"
EXPOSED = (
    b"X-Request-ID, VAE-Seed, VAE-Warning, ETag, Retry-After, X-Model-Version, "
    b"Server-Timing, Inference-Header-Content-Length"
)
_MAX_AGE_SECONDS = 600
_VARY = (b"vary", b"Origin")
_OTHER_SITES = frozenset({b"cross-site", b"same-site"})  # Fetch Metadata
ALLOWED = (
    b"Authorization, Content-Encoding, Content-Type, If-None-Match, traceparent, "
    b"tracestate, X-Request-ID, X-Request-Timeout, X-Requested-With, "
    b"Inference-Header-Content-Length"
)
_PREFLIGHT: Headers = (
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (b"access-control-allow-headers", ALLOWED),
    (b"access-control-max-age", b"%d" % _MAX_AGE_SECONDS),
)


@final
class Cors:
    """
    Allows cross-origin requests from a list of origins; `*` allows all.

    Attributes:
        is_needed: Whether any origin is allowed, so that responses need headers.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        self.is_needed = bool(origins)
        self._is_for_all = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)
        self._has_logged = False

    def log_refusal(self, request: Request) -> None:
        """
        Log the first request of a page whose origin is not allowed.

        The browser keeps the response from the page, and often says only "failed to
        fetch". So the log says once which setting to change.
        """
        if self._has_logged or self._allowed_origin(request) is not None:
            return
        if is_preflight(request.method, request.headers) or _is_refused(request):
            self._has_logged = True
            logger.warning(
                "a browser refuses a page of another origin: list the page's origin "
                "in %s if it may use this service (logged once)",
                SETTING,
            )

    def headers(self, request: Request) -> Headers:
        """Return the CORS headers of the response to a request."""
        origin = self._allowed_origin(request)
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
            not is_preflight(request.method, request.headers)
            or self._allowed_origin(request) is None
        ):
            return None
        return Response(b"text/plain", [b""], headers=_PREFLIGHT)

    def _allowed_origin(self, request: Request) -> bytes | None:
        """Return the value of Access-Control-Allow-Origin, None if not allowed."""
        if self._is_for_all:
            return b"*"
        origin = request.headers.get(b"origin")
        return origin if origin in self._origins else None


def is_preflight(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a browser asks if a page of another origin may send a request."""
    return method == "OPTIONS" and b"access-control-request-method" in headers


def _is_refused(request: Request) -> bool:
    """Return whether a script of another origin will not see the response."""
    headers = request.headers
    return (
        headers.get(b"sec-fetch-mode") == b"cors"
        and headers.get(b"sec-fetch-site") in _OTHER_SITES
    )
