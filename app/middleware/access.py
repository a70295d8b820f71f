"""
Access checks: the Host header, then CORS preflights, then the access key.

Public paths are listed; every other path needs a key, whether it exists or not.
Browsers can ask the user for the key as a Basic password. From then on they send it
with every request, also with one that another site triggers. So Basic credentials are
not accepted on cross-site requests.
"""

from typing import final

from app.connection.admission import PROBES
from app.errors import CLOSE, Headers, MisdirectedError, UnauthorizedError
from app.http.public import public_paths
from app.http.request import Request
from app.http.response import Response
from app.keys import Keys, is_basic
from app.middleware.cors import Cors
from app.settings import Settings

_READS = frozenset({"GET", "HEAD"})
_BASIC_CHALLENGE: Headers = (
    (b"www-authenticate", b'Basic realm="vae", charset="UTF-8"'),
)


@final
class AccessCheck:
    """
    Checks the headers of each request before anything else, above all before its body.

    Attributes:
        keys: The accepted access keys; None if requests need no key.
        public: The paths that can be read without a key.
        cors: The origins whose pages may send requests.
    """

    def __init__(self, settings: Settings) -> None:
        """
        Read the file of keys, if one is set.

        Raises:
            SettingsError: The file cannot be used.
        """
        path = settings.api_keys_file
        self.keys = Keys(path) if path is not None else None
        self.public = public_paths(settings)
        self.cors = Cors(settings.cors_origins)
        self._hosts = frozenset(host.encode() for host in settings.allowed_hosts)

    @property
    def is_needed(self) -> bool:
        """Whether any check is configured."""
        return bool(self.keys or self.cors.is_needed or self._hosts)

    def headers(self, request: Request) -> Headers:
        """Return the CORS headers of the response to a request."""
        return self.cors.headers(request) if self.cors.is_needed else ()

    def check(self, request: Request) -> Response | None:
        """
        Check a request; return the response if it is a CORS preflight, else None.

        Raises:
            MisdirectedError: The request is for another host.
            UnauthorizedError: The request needs a key and has no valid one.
        """
        is_read = request.method in _READS
        if self._hosts and not (is_read and request.path in PROBES):
            self._check_host(request)
        preflight = self.cors.preflight(request)
        if preflight is not None:
            return preflight
        if self.keys is not None and not (is_read and request.path in self.public):
            try:
                self._check_key(self.keys, request)
            except UnauthorizedError as error:
                if _opens_a_page(request):
                    error.headers = _BASIC_CHALLENGE
                error.headers += _closing(request)
                raise
        return None

    def _check_key(self, keys: Keys, request: Request) -> None:
        authorization = request.only(b"authorization")
        if is_basic(authorization) and _is_of_another_site(request):
            raise UnauthorizedError("expected Bearer, not Basic, from another site")
        request.key = keys.check(authorization)

    def _check_host(self, request: Request) -> None:
        host = request.only(b"host") or b""
        if _without_port(host.lower()) not in self._hosts:
            raise MisdirectedError(
                "expected a Host that this service answers for",
                headers=_closing(request),
            )


def _is_of_another_site(request: Request) -> bool:
    """Return whether another site sent this, except by a link (Fetch Metadata)."""
    site = request.only(b"sec-fetch-site")
    if site in {b"none", b"same-origin"} or b"sec-fetch-site" not in request.headers:
        return False
    followed = (
        request.method == "GET" and request.only(b"sec-fetch-mode") == b"navigate"
    )
    return not (followed and request.only(b"sec-fetch-dest") == b"document")


def _opens_a_page(request: Request) -> bool:
    return request.method == "GET" and b"text/html" in (request.accept or b"")


def _without_port(host: bytes) -> bytes:
    name, colon, port = host.rpartition(b":")
    return name if colon and port.isdigit() else host


def _closing(request: Request) -> Headers:
    """Return `Connection: close` if the request has a body, which will not be read."""
    has_body = b"transfer-encoding" in request.headers or request.headers.get(
        b"content-length", b"0"
    ).strip(b"0")
    return CLOSE if has_body else ()
