"""
URLs of checkpoints, and where their copies are kept.

    hf://user/model@revision    s3://bucket/folder    https://host/folder    memory://...

Everything after `#sha256=` is the hash of the manifest that is expected. This module
imports nothing but the standard library, because every start of the service needs it.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self, final
from urllib.parse import quote, urlsplit, urlunsplit

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+")
_ANY_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]*://")
_PIN = re.compile(r"sha256=([0-9a-f]{64})")
_USER = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*@")
_QUERY = re.compile(r"\?[^\s'\",)>]+")
_WEB = ("http", "https")
# What is quoted already stays as it is: signatures depend on it.
_QUOTED = "%/:?@!$&'()*+,;=~[]"


@final
@dataclass(frozen=True)
class RemoteLocation:
    """
    Where a checkpoint is that has to be copied before it can be used.

    Attributes:
        url: Of the folder with its files.
        sha256: Of its manifest; None for whatever is there.
    """

    url: str
    sha256: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read a URL, which may end in `#sha256=` and the hash of the manifest.

        Raises:
            ValueError: It is none.
        """
        url, mark, pin = text.strip().partition("#")
        found = _PIN.fullmatch(pin)
        if not _URL.fullmatch(url) or not url.isprintable() or not _has_host(url):
            raise ValueError("a URL such as hf://user/model or https://host/folder")
        if mark and not found:
            raise ValueError("#sha256= and 64 hexadecimal digits after the URL")
        return cls(url, found[1] if found else None)

    @property
    def protocol(self) -> str:
        """The URL's scheme."""
        return self.url.partition("://")[0].lower()

    @property
    def name(self) -> str:
        """A short name for messages and folders: the last part of the path."""
        path = self.url.partition("://")[2].partition("?")[0]
        last = path.rstrip("/").rpartition("/")[2]
        if self.protocol == "hf":
            last = last.partition("@")[0]
        return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip(".-")[:64] or "checkpoint"

    def file(self, name: str) -> str:
        """Return the URL of a file; a query of a web address stays at its end."""
        if self.protocol not in _WEB:
            return f"{self.url.rstrip('/')}/{name}"
        parts = urlsplit(self.url)
        path = quote(parts.path.rstrip("/"), safe=_QUOTED) + "/" + quote(name)
        query = quote(parts.query, safe=_QUOTED)
        return urlunsplit(parts._replace(path=path, query=query))

    def copy_in(self, cache: Path | None) -> Path:
        """
        Return the directory of the copy, one for each URL and pin.

        Args:
            cache: Folder of all copies; None for the default.
        """
        key = hashlib.sha256(f"{self.url}#{self.sha256}".encode()).hexdigest()
        return (cache or default_cache()) / f"{self.name}-{key[:16]}"

    def __str__(self) -> str:
        return without_secrets(self.url)


def location(text: str) -> Path | RemoteLocation:
    """
    Return what a text names: a directory, or a URL.

    Raises:
        ValueError: It begins like a URL and is none.
    """
    if _ANY_SCHEME.match(text.strip()):
        return RemoteLocation.parse(text)
    return Path(text)


def _has_host(url: str) -> bool:
    """Return whether a URL of the web names a host, as others need not."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme not in _WEB or bool(parts.hostname)


def default_cache() -> Path:
    """Return the folder of copies: VAE_CHECKPOINT_CACHE, or in the user's cache."""
    chosen = os.environ.get("VAE_CHECKPOINT_CACHE")
    if chosen:
        return Path(chosen)
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "")
    if not caches.is_absolute():
        caches = Path(os.environ.get("HOME") or "/") / ".cache"
    return caches / "vae-service" / "checkpoints"


def without_secrets(text: str) -> str:
    """Return a text without the passwords and queries of its URLs."""
    return _QUERY.sub("?...", _USER.sub("", text))
