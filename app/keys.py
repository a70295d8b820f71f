"""
Access keys: the file of digests, the check of a request, and the command `vae-keys`.

Each line of the file `VAE_API_KEYS_FILE` has a SHA-256 in 64 hex digits and,
optionally, a name; `#` starts a comment. Only digests are stored, so a leaked file does
not give access. One round of SHA-256 without salt is enough for random keys, such as
those of `vae-keys [NAME]`, which prints a new key on standard error, and the line for
the file on standard output, so that `vae-keys NAME >> FILE` adds a key.
"""

import argparse
import binascii
import logging
import os
import secrets
import stat
import sys
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import final

from app.configuration.environment import SettingsError
from app.errors import UnauthorizedError

logger = logging.getLogger(__name__)

MAX_KEYS = 256
_COMMAND = (
    "Print a new access key on standard error, and on standard output its line for the "
    "file of VAE_API_KEYS_FILE: vae-keys NAME >> FILE"
)
_MAX_FILE_BYTES = 1 << 16
_HEX_DIGITS = frozenset(b"0123456789abcdef")
_KEY_BYTES = 32
_MAX_NAME, _SHOWN_DIGITS = 64, 8


@final
class Keys:
    """The accepted keys, read from a file."""

    def __init__(self, path: Path) -> None:
        """
        Read the file.

        Raises:
            SettingsError: It cannot be read, has no key, or has an invalid line.
        """
        self._path = path
        self._names = read(path)

    def check(self, authorization: bytes | None) -> str:
        """
        Check an Authorization header: Bearer (RFC 6750), or Basic (RFC 7617).

        With Basic, the key is the password, with any user name: browsers can ask for a
        password.

        The time of the check depends on the number of keys and the length of the
        header, but not on the keys or on how much of a key matches.

        Returns:
            The key's name in the file; without one, the start of its digest.

        Raises:
            UnauthorizedError: It does not contain one of the keys.
        """
        if authorization is None:
            raise UnauthorizedError("expected one header Authorization: Bearer KEY")
        given = sha256(_key(authorization)).digest()
        found: str | None = None
        for digest, name in self._names.items():
            if compare_digest(digest, given):
                found = name
        if found is None:
            raise UnauthorizedError("expected a valid key")
        return found

    def reread(self) -> None:
        """Read the file again; if that fails, log why and keep the keys."""
        try:
            self._names = read(self._path)
        except SettingsError as error:
            logger.error("the access keys are unchanged: %s", error)
        else:
            logger.info("%d access keys were read", len(self._names))


def is_basic(authorization: bytes | None) -> bool:
    """Return whether a header has Basic credentials, which browsers add unasked."""
    return authorization is not None and _split(authorization)[0] == b"basic"


def read(path: Path) -> dict[bytes, str]:
    """
    Return the digests in a file of keys, 32 bytes each, with the names of the keys.

    Raises:
        SettingsError: It cannot be read, has no key or too many, or has an invalid
            line. The message does not repeat the line, which may be a key itself.
    """
    names: dict[bytes, str] = {}
    n_keys = 0
    for i, line in enumerate(_content(path).split(b"\n"), start=1):
        words = line.partition(b"#")[0].split(maxsplit=1)
        if not words:
            continue
        digest = words[0].lower()
        if len(digest) != 2 * sha256().digest_size or not _HEX_DIGITS.issuperset(
            digest
        ):
            raise SettingsError(
                f"VAE_API_KEYS_FILE: expected a SHA-256 of 64 hex digits in line {i} "
                f"of {path}, got a word of {len(digest)} characters"
            )
        n_keys += 1
        text = digest.decode()
        name = words[1].decode("utf-8", "replace").strip() if words[1:] else ""
        names[bytes.fromhex(text)] = (
            name[:_MAX_NAME] or f"sha256:{text[:_SHOWN_DIGITS]}"
        )
    if not 1 <= n_keys <= MAX_KEYS:
        raise SettingsError(
            f"VAE_API_KEYS_FILE: expected 1 to {MAX_KEYS} keys in {path}, got {n_keys}"
        )
    return names


def fresh_key() -> str:
    """Return a new key: 256 random bits."""
    return f"vae_{secrets.token_urlsafe(_KEY_BYTES)}"


def line_of(key: str, *, name: str = "") -> str:
    """Return the line for a key in the file."""
    return f"{sha256(key.encode()).hexdigest()} {name}".rstrip()


def main(prog: str = "vae-keys") -> int:
    """Print a new key on standard error, and its line for the file on its output."""
    parser = argparse.ArgumentParser(prog=prog, description=_COMMAND)
    parser.add_argument("name", nargs="*", metavar="NAME", help="the owner of the key")
    name = " ".join(parser.parse_args().name)
    key = fresh_key()
    line = line_of(key, name=name)
    sys.stderr.write(f"key, for the client, shown only once: {key}\n")
    sys.stdout.write(f"{line}\n")
    return 0


def _key(authorization: bytes) -> bytes:
    """Return the key in an Authorization header."""
    scheme, credentials = _split(authorization)
    if scheme == b"bearer":
        return credentials
    if scheme != b"basic":
        raise UnauthorizedError("expected Bearer or Basic as the scheme")
    try:
        pair = binascii.a2b_base64(credentials, strict_mode=True)
    except binascii.Error:
        raise UnauthorizedError("expected base64 after Basic") from None
    return pair.partition(b":")[2]


def _split(authorization: bytes) -> tuple[bytes, bytes]:
    scheme, _, credentials = authorization.partition(b" ")
    return scheme.lower(), credentials.strip(b" ")


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_open_nonblocking) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise SettingsError(f"VAE_API_KEYS_FILE: expected a file, got {path}")
            _warn_if_writable(path, found)
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SettingsError(
            f"VAE_API_KEYS_FILE: expected a file, {path}: {error.strerror}"
        ) from error
    if len(content) > _MAX_FILE_BYTES:
        raise SettingsError(
            f"VAE_API_KEYS_FILE: expected at most {_MAX_FILE_BYTES} bytes in {path}"
        )
    return content


def _open_nonblocking(path: str, flags: int) -> int:
    """Open a file without blocking if it is a pipe without a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _warn_if_writable(path: Path, found: os.stat_result) -> None:
    """Warn if every user of the system may write or replace the file."""
    directory = path.parent.stat().st_mode
    if found.st_mode & stat.S_IWOTH:
        what = f"write {path} (chmod o-w)"
    elif directory & stat.S_IWOTH and not directory & stat.S_ISVTX:
        what = f"replace {path} in its directory (chmod o-w)"
    else:
        return
    logger.warning("VAE_API_KEYS_FILE: every user of this system may %s", what)


if __name__ == "__main__":
    sys.exit(main("python -m app.keys"))
