"""The file of access keys, the check of a header, and the command for a key."""

import hmac
import os
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from app import keys
from app.configuration.environment import SettingsError
from app.errors import UnauthorizedError
from app.keys import MAX_KEYS, Keys

DIGEST = sha256(b"one").hexdigest()


def written(directory: Path, text: str) -> Path:
    """Write a file of keys."""
    path = directory / "keys"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_has_digests_names_and_comments(tmp_path: Path) -> None:
    """A digest of either case, a name after it, comments, empty lines, CRLF."""
    other = sha256(b"two").hexdigest().upper()
    text = f"# keys\n\n{DIGEST} Zoë of the lab\r\n  {other}  # since May\n#{DIGEST}\n"

    found = keys.read(written(tmp_path, text))

    assert found == {
        sha256(b"one").digest(): "Zoë of the lab",
        sha256(b"two").digest(): f"sha256:{other[:8].lower()}",
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "expected 1 to 256 keys"),
        ("# none\n", "expected 1 to 256 keys"),
        (f"{DIGEST}\n" * (MAX_KEYS + 1), "got 257"),
        (f"{DIGEST}\n{DIGEST[1:]}\n", "in line 2 of"),
        (f"{DIGEST}0\n", "got a word of 65 characters"),
        (f"g{DIGEST[1:]}\n", "expected a SHA-256 of 64 hex digits in line 1"),
        (f"é{DIGEST[2:]}\n", "expected a SHA-256"),
        ("#" * 70_000, "expected at most 65536 bytes"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, text: str, wanted: str) -> None:
    """It names the variable and the line."""
    with pytest.raises(SettingsError) as raised:
        keys.read(written(tmp_path, text))

    assert str(raised.value).startswith("VAE_API_KEYS_FILE: ")
    assert wanted in str(raised.value)


def test_a_key_in_the_place_of_its_digest_is_not_repeated(tmp_path: Path) -> None:
    """The error goes to a log; a secret put there by mistake does not."""
    key = keys.fresh_key()

    with pytest.raises(SettingsError) as raised:
        keys.read(written(tmp_path, key))

    assert key not in str(raised.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A directory, a pipe without a writer, and a path with nothing at it."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "none", Path()):
        with pytest.raises(SettingsError, match="expected a file"):
            keys.read(path)


@pytest.mark.parametrize(
    ("file_mode", "directory_mode", "words"),
    [
        (0o602, 0o700, "every user of this system may write "),
        (0o666, 0o1777, "every user of this system may write "),
        (0o600, 0o777, "every user of this system may replace "),
        (0o664, 0o1777, ""),
        (0o644, 0o755, ""),
    ],
)
def test_a_file_that_anybody_may_write_is_warned_of(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    file_mode: int,
    directory_mode: int,
    words: str,
) -> None:
    """They could let themselves in; at the start, and each time it is read."""
    path = written(tmp_path, DIGEST)
    path.chmod(file_mode)
    tmp_path.chmod(directory_mode)

    known = Keys(path)
    known.reread()

    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == (2 if words else 0)
    assert all(words in warning and str(path) in warning for warning in warnings)


@pytest.mark.parametrize("position", [0, 1, 2, None])
def test_every_digest_is_compared_wherever_the_match_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, position: int | None
) -> None:
    """No early exit: the number of comparisons is the number of keys."""
    names = [b"one", b"two", b"three"]
    lines = "\n".join(sha256(name).hexdigest() for name in names)
    known = Keys(written(tmp_path, lines))
    compared: list[tuple[bytes, bytes]] = []

    def counted(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return hmac.compare_digest(a, b)

    monkeypatch.setattr(keys, "compare_digest", counted)
    if position is None:
        with pytest.raises(UnauthorizedError):
            known.check(b"Bearer four")
    else:
        name = known.check(b"bearer " + names[position])
        assert name == f"sha256:{sha256(names[position]).hexdigest()[:8]}"

    assert len(compared) == len(names)


def test_the_command_prints_a_key_and_a_line_that_opens_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    The output is the line for the file, so that it can be appended; the key, another
    each time, goes to standard error.
    """
    monkeypatch.setattr(sys, "argv", ["vae-keys", "the", "lab"])

    lines, secrets = "", []
    for _ in range(2):
        assert keys.main() == 0
        printed = capsys.readouterr()
        lines += printed.out
        secrets.append(printed.err.rpartition(": ")[2].strip())

    assert lines.count("\n") == 2
    assert not any(key in lines for key in secrets)
    both, first = Keys(written(tmp_path, lines)), lines.splitlines()[0]
    for key in secrets:
        assert both.check(f"Bearer {key}".encode()) == "the lab"
    with pytest.raises(UnauthorizedError):
        Keys(written(tmp_path, first)).check(f"Bearer {secrets[1]}".encode())
