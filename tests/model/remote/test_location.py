"""A location is a path or a URL, and a URL says where its copy is."""

from pathlib import Path

import pytest

from model.remote.location import (
    RemoteLocation,
    default_cache,
    location,
    without_secrets,
)

PIN = "0123456789abcdef" * 4


@pytest.mark.parametrize("text", ["/checkpoints/mine", "mine", "./a:b", "C:/x", "a//b"])
def test_a_path_stays_one(text: str) -> None:
    """Also with a colon or two slashes."""
    assert location(text) == Path(text)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("hf://user/model", "model"),
        ("hf://user/model@v1.2", "model"),
        ("hf://datasets/user/set@main/sub/digits", "digits"),
        ("s3://bucket/a/b/", "b"),
        ("https://example.org/models/digits?sig=a/b%2F", "digits"),
        ("HTTPS://example.org/models/digits", "digits"),
        ("file:///data/digits", "digits"),
        ("memory://tiny model", "tiny-model"),
        ("https://example.org", "example.org"),
        ("s3://bucket/..", "checkpoint"),
    ],
)
def test_a_url_is_kept_as_it_is(url: str, name: str, tmp_path: Path) -> None:
    """With both of its slashes; the copy is a folder in the cache with its name."""
    found = location(url)

    assert isinstance(found, RemoteLocation)
    assert found.url == url
    assert found.sha256 is None
    assert found.name == name
    assert found.copy_in(tmp_path).parent == tmp_path
    assert found.copy_in(tmp_path).name.startswith(f"{name}-")


def test_each_url_and_each_pin_has_its_own_copy(tmp_path: Path) -> None:
    """So no service gets what another one asked for."""
    texts = ["s3://b/m", "s3://c/m", f"s3://b/m#sha256={PIN}", "hf://b/m", "hf://b/m@2"]

    copies = {RemoteLocation.parse(text).copy_in(tmp_path) for text in texts}

    assert len(copies) == len(texts)


def test_a_pin_is_read_from_the_fragment() -> None:
    """It is no part of the URL."""
    found = RemoteLocation.parse(f"s3://bucket/m#sha256={PIN}")

    assert found == RemoteLocation("s3://bucket/m", PIN)
    assert found.file("a") == "s3://bucket/m/a"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://", "a URL such as"),
        ("https:///path", "a URL such as"),
        ("https://[::1/path", "a URL such as"),
        ("s3://bucket/a\nb", "a URL such as"),
        ("simplecache::s3://bucket/m", "a URL such as"),
        ("s3://bucket/m#sha256=12", "#sha256= and 64 hexadecimal digits"),
        (f"s3://bucket/m#sha256={PIN.upper()}", "#sha256= and 64"),
        ("s3://bucket/m#", "#sha256= and 64"),
        (f"s3://bucket/m#md5={PIN}", "#sha256= and 64"),
    ],
)
def test_what_only_begins_like_a_url_is_none(text: str, words: str) -> None:
    """The message is what was expected."""
    with pytest.raises(ValueError, match=words):
        location(text)


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("https://h/m?sig=x&se=2", "https://h/m/a%20b.json?sig=x&se=2"),
        ("https://h/m/", "https://h/m/a%20b.json"),
        ("https://h/a b/m%2B", "https://h/a%20b/m%2B/a%20b.json"),
        ("s3://bucket/m", "s3://bucket/m/a b.json"),
        ("memory://m//", "memory://m/a b.json"),
    ],
)
def test_a_file_is_below_the_path(url: str, file: str) -> None:
    """The query of a signed web address stays at the end."""
    assert RemoteLocation.parse(url).file("a b.json") == file


def test_messages_have_no_passwords() -> None:
    """Neither those before the host nor those in the query; a revision stays."""
    signed = RemoteLocation.parse("https://me:secret@host/m?sig=secret")
    text = "GET 'https://me:secret@host/m?sig=secret', then (ftp://a:b@c?d)"

    assert str(signed) == "https://host/m?..."
    assert without_secrets(text) == "GET 'https://host/m?...', then (ftp://c?...)"
    assert str(RemoteLocation.parse("hf://user/model@main")) == "hf://user/model@main"


def test_the_cache_is_where_other_caches_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a variable names another folder."""
    for name in ("VAE_CHECKPOINT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    found = [default_cache()]
    monkeypatch.setenv("XDG_CACHE_HOME", "relative, and so ignored")
    found.append(default_cache())
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/caches")
    found.append(default_cache())
    monkeypatch.setenv("VAE_CHECKPOINT_CACHE", "/mine")
    found.append(default_cache())

    assert found == [
        *[Path("/home/me/.cache/vae-service/checkpoints")] * 2,
        Path("/var/caches/vae-service/checkpoints"),
        Path("/mine"),
    ]
