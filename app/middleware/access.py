"""
Which requests may pass: of a known host, then a preflight, then with a key.

What may pass without a key is listed; all else is refused, whether it exists or not.
Browsers ask people for a key as the password of Basic, and from then on send it by
themselves, whichever site makes them ask; so from other sites it does not count.
"""

from typing import final

from app.connection.admission import PROBES
from app.errors import CLOSE, Headers, MisdirectedError, UnauthorizedError
from app.http.exchange import Request, Response
from app.http.public import public_paths
from app.keys import Keys, is_basic
from app.middleware.cors import Cors
from app.settings import Settings

_READS = frozenset({"GET", "HEAD"})
_ASK_A_PERSON: Headers = ((b"www-authenticate", b'Basic realm="vae", charset="UTF-8"'),)


@final
class Guard:
    """
    Stops requests before anything else of them is looked at, their body above all.

    Attributes:
        keys: The keys of which each request needs one; None if it needs none.
        public: The paths that may be read without a key.
    """

    def __init__(self, settings: Settings) -> None:
        """
        Read the keys, if there are any.

        Raises:
            SettingsError: Their file cannot be used.
        """
        path = settings.api_keys_file
        self.keys = Keys(path) if path is not None else None
        self.public = public_paths(settings)
        self._cors = Cors(settings.cors_origins) if settings.cors_origins else None
        self._hosts = frozenset(host.encode() for host in settings.allowed_hosts)

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to check."""
        return bool(self.keys or self._cors or self._hosts)

    def headers(self, request: Request) -> Headers:
        """Return what the answer to a request carries, whatever it is."""
        return self._cors.headers(request) if self._cors is not None else ()

    def check(self, request: Request) -> Response | None:
        """
        Check that a request may pass; return the answer to a preflight.

        Raises:
            MisdirectedError: It is for another host.
            UnauthorizedError: It needs a key and has none of its own.
        """
        is_read = request.method in _READS
        if self._hosts and not (is_read and request.path in PROBES):
            self._check_host(request)
        if self._cors is not None:
            preflight = self._cors.preflight(request)
            if preflight is not None:
                return preflight
        if self.keys is not None and not (is_read and request.path in self.public):
            try:
                self._check_key(self.keys, request)
            except UnauthorizedError as error:
                if _opens_a_page(request):
                    error.headers = _ASK_A_PERSON
                error.headers += _closing(request)
                raise
        return None

    def _check_key(self, keys: Keys, request: Request) -> None:
        authorization = request.only(b"authorization")
        if is_basic(authorization) and _is_of_another_site(request):
            raise UnauthorizedError("expected Bearer in a request of another site")
        keys.check(authorization)

    def _check_host(self, request: Request) -> None:
        host = request.only(b"host") or b""
        if _without_port(host.lower()) not in self._hosts:
            raise MisdirectedError(
                "expected a Host that is served here", headers=_closing(request)
            )


def _is_of_another_site(request: Request) -> bool:
    """Say whether a page of another origin asks (Fetch Metadata), not a link in it."""
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
    """Return what ends the connection if a body is on its way: nobody reads it."""
    has_body = b"transfer-encoding" in request.headers or request.headers.get(
        b"content-length", b"0"
    ).strip(b"0")
    return CLOSE if has_body else ()
