"""The settings of a client: one frozen `ClientSettings`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import index
from typing import Self, final
from urllib.parse import SplitResult, urlsplit

# Not VAE_: a service that starts in the same shell refuses unknown VAE_ variables.
PREFIX = "VAECLIENT_"
TIMEOUT_MAX = 1e9  # seconds; 30 years, less than sockets can count
_KEY = re.compile(r"[!-~]+")
_NOT_IN_URL = re.compile(r"[\s\x00-\x1f\x7f]")  # urlsplit drops some of them


@final
@dataclass(frozen=True)
class ClientSettings:
    """
    Where the service is and how requests are sent.

    Attributes:
        url: The service's URL, with its path prefix if it is behind a proxy.
        api_key: Sent as `Authorization: Bearer`.
        timeout: Seconds to wait for the next byte, 1e9 at most; for a connection, 5.
        n_retries: How many times a request is repeated after a temporary failure.
        n_concurrent: How many pieces of a split request are sent at the same time.

    Raises:
        TypeError: A number of retries or requests is not an integer.
        ValueError: A value is not valid; the message never contains the key.
    """

    url: str = "http://127.0.0.1:8000"
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 60.0
    n_retries: int = 2
    n_concurrent: int = 4

    def __post_init__(self) -> None:
        _check_url(self.url)
        key = self.api_key
        if key is not None and not _KEY.fullmatch(key):
            raise ValueError("expected an api_key of printable ASCII, without spaces")
        if not 0 < self.timeout <= TIMEOUT_MAX:
            raise ValueError(
                f"expected a timeout above 0 s and at most {TIMEOUT_MAX:.0e} s, "
                f"got {self.timeout}"
            )
        if index(self.n_retries) < 0:
            raise ValueError(f"expected n_retries of 0 or more, got {self.n_retries}")
        if index(self.n_concurrent) < 1:
            raise ValueError(
                f"expected n_concurrent of 1 or more, got {self.n_concurrent}"
            )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """
        Read `VAECLIENT_URL` and `VAECLIENT_API_KEY`; other variables are ignored.

        Raises:
            ValueError: Another name starts with VAECLIENT_, or a value is not valid.
        """
        fields = {f"{PREFIX}URL": "url", f"{PREFIX}API_KEY": "api_key"}
        given = {k: v for k, v in environ.items() if k.startswith(PREFIX)}
        if unknown := sorted(given.keys() - fields.keys()):
            raise ValueError(f"{unknown[0]} is not one of {', '.join(fields)}")
        return cls(**{fields[name]: value for name, value in given.items()})  # type: ignore[arg-type]  # both fields are strings


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("expected a url without user and password; use api_key")
    is_http = parts.scheme in {"http", "https"} and parts.hostname
    if not is_http or parts.query or parts.fragment or not _has_port_if_any(parts):
        raise ValueError(f"expected a url like http://127.0.0.1:8000, got {url!r}")
    if _NOT_IN_URL.search(url):
        raise ValueError(
            f"expected a url without spaces and control characters, got {url!r}"
        )


def _has_port_if_any(parts: SplitResult) -> bool:
    """Return whether the port is a number from 0 to 65535, or absent."""
    try:
        _ = parts.port
    except ValueError:
        return False
    return True
