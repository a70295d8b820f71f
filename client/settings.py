"""Where the service is and how it is asked: one frozen `Settings`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self, final
from urllib.parse import urlsplit

# Not VAE_, whose unknown names end the start of a service in the same shell.
PREFIX = "VAECLIENT_"
_KEY = re.compile(r"[!-~]+")


@final
@dataclass(frozen=True)
class Settings:
    """
    How to reach a service.

    Attributes:
        url: Of the service, with the prefix it may have behind a proxy.
        api_key: Sent as `Authorization: Bearer`.
        timeout: Seconds to wait for each sign of life; for a connection at most 5.
        n_retries: How often to ask again what may succeed then.
        n_concurrent: How many pieces of a split request are under way at once.

    Raises:
        ValueError: A value cannot be used; a key is not repeated in the message.
    """

    url: str = "http://127.0.0.1:8000"
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 60.0
    n_retries: int = 2
    n_concurrent: int = 4

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if "@" in parts.netloc:
            raise ValueError("expected a url without user and password; use api_key")
        is_http = parts.scheme in {"http", "https"} and parts.hostname
        if not is_http or parts.query or parts.fragment:
            raise ValueError(
                f"expected a url like http://127.0.0.1:8000, got {self.url!r}"
            )
        key = self.api_key
        if key is not None and not _KEY.fullmatch(key):
            raise ValueError("expected an api_key of printable ASCII, without spaces")
        if not self.timeout > 0:
            raise ValueError(f"expected a timeout above 0 s, got {self.timeout}")
        if self.n_retries < 0:
            raise ValueError(f"expected n_retries of 0 or more, got {self.n_retries}")
        if self.n_concurrent < 1:
            raise ValueError(
                f"expected n_concurrent of 1 or more, got {self.n_concurrent}"
            )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """
        Read `VAECLIENT_URL` and `VAECLIENT_API_KEY`; other variables are not looked at.

        Raises:
            ValueError: Another name starts with VAECLIENT_, or a value is unusable.
        """
        fields = {f"{PREFIX}URL": "url", f"{PREFIX}API_KEY": "api_key"}
        given = {k: v for k, v in environ.items() if k.startswith(PREFIX)}
        if unknown := sorted(given.keys() - fields.keys()):
            raise ValueError(f"{unknown[0]} is none of {', '.join(fields)}")
        return cls(**{fields[name]: value for name, value in given.items()})  # type: ignore[arg-type]  # both fields are texts
