"""Long texts come in gzip where that is asked for; nothing else does."""

import asyncio
import gzip
import json
import threading
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import numpy as np
import pytest

from app.http import compression
from tests.app.served import Served

LONG = "/sample?n=2000&seed=3"  # some 380 KB of JSON
MIDDLE = "/sample?n=400&seed=3"  # some 75 KB, written at once
SHORT = "/sample?n=2&seed=3"
GZIP = {"accept-encoding": "gzip"}
PLAIN = {"accept-encoding": "identity"}


def raw(served: Served, url: str, headers: Mapping[str, str]) -> httpx.Response:
    """Ask without having httpx ask for gzip by itself."""
    return served.get(url, headers={**PLAIN, **headers})


@pytest.mark.parametrize("url", [LONG, MIDDLE])
def test_long_json_comes_in_gzip_if_asked_for(bernoulli: Served, url: str) -> None:
    """It is shorter, decompresses to the same text, and varies by what was asked."""
    plain, zipped = (raw(bernoulli, url, headers) for headers in (PLAIN, GZIP))

    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.content == plain.content
    assert zipped.num_bytes_downloaded < 0.7 * len(plain.content)
    for answer in (plain, zipped):
        assert answer.headers["content-type"] == "application/json"
        assert "Accept-Encoding" in answer.headers.get_list("vary")


@pytest.mark.parametrize(
    ("accept", "is_zipped"),
    [
        ("gzip, deflate, br", True),
        ("GZIP;q=0.5", True),
        ("*", True),
        ("x-gzip", True),
        ("gzip;q=1, identity;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=2", False),
        ("gzip;q=nan", False),
        ("br, zstd", False),
        ("identity", False),
        ("", False),
    ],
)
def test_the_client_s_preference_counts(
    bernoulli: Served, accept: str, *, is_zipped: bool
) -> None:
    """Qualities, wildcards and names in any case (RFC 9110, 12.5.3)."""
    answer = raw(bernoulli, LONG, {"accept-encoding": accept})

    assert (answer.headers.get("content-encoding") == "gzip") == is_zipped


@pytest.mark.parametrize(
    ("url", "accept"),
    [
        (SHORT, "application/json"),
        (LONG, "application/vnd.safetensors"),
        (LONG, "application/x-npy"),
        ("/sample?n=2000&scale=4", "image/png"),
        ("/livez", "*/*"),
        ("/nope", "*/*"),
    ],
)
def test_short_and_binary_responses_are_sent_as_they_are(
    bernoulli: Served, url: str, accept: str
) -> None:
    """Float32 and PNG hardly shrink, and their responses do not vary."""
    answer = raw(bernoulli, url, {**GZIP, "accept": accept})

    assert "content-encoding" not in answer.headers
    assert "accept-encoding" not in answer.headers.get("vary", "").lower()
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_a_head_has_the_headers_of_a_get(bernoulli: Served) -> None:
    """Content-Encoding and Vary, and no body."""
    answer = bernoulli.request("HEAD", LONG, headers=GZIP)

    assert answer.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers.get_list("vary")
    assert answer.content == b""


@pytest.mark.parametrize("path", ["/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"])
def test_each_encoding_of_a_file_has_its_own_entity_tag(
    bernoulli: Served, path: str
) -> None:
    """A client that has one gets 304 for that one, and the other whole."""
    plain, zipped = (raw(bernoulli, path, headers) for headers in (PLAIN, GZIP))
    tags = [answer.headers["etag"] for answer in (plain, zipped)]
    again = [
        raw(bernoulli, path, {**encoding, "if-none-match": tag})
        for encoding in (PLAIN, GZIP)
        for tag in tags
    ]

    assert plain.content == zipped.content
    assert zipped.headers["content-encoding"] == "gzip"
    assert int(zipped.headers["content-length"]) < len(plain.content) / 2
    assert tags[1] == f'{tags[0][:-1]}-gzip"'
    assert [answer.status_code for answer in again] == [304, 200, 200, 304]
    for answer in (plain, zipped, *again):
        assert answer.headers["vary"] == "Accept-Encoding"


def test_a_constant_document_is_compressed_once(bernoulli: Served) -> None:
    """So are the held-out rows of `/examples`, which are that of the checkpoint."""
    text = compression.ConstantText(b"0.123, " * 20_000)
    asked = [(b"accept-encoding", b"gzip")]

    async def variants() -> list[compression.Variant]:
        return [await text.variant(asked), await text.variant(asked)]

    one, other = asyncio.run(variants())

    assert one is other
    assert gzip.decompress(one.content) == text.plain.content
    assert "vary" not in raw(bernoulli, "/model", GZIP).headers


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note in which thread zlib compresses, and how much at a time."""
    seen: list[int] = []
    original = zlib.compressobj

    class Noting:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._stream = original(*arguments, **options)

        def compress(self, part: memoryview) -> bytes:
            assert len(part) <= 1 << 18
            seen.append(threading.get_ident())
            return self._stream.compress(part)

        def flush(self) -> bytes:
            seen.append(threading.get_ident())
            return self._stream.flush()

    monkeypatch.setattr(zlib, "compressobj", Noting)
    return seen


def test_compression_never_holds_the_event_loop(
    bernoulli: Served, threads: list[int]
) -> None:
    """Every piece, and none is long, is compressed in another thread."""
    raw(bernoulli, "/sample?n=8000&seed=3", GZIP)

    assert len(threads) > 4
    assert threading.get_ident() not in threads


def test_pieces_come_as_they_are_compressed() -> None:
    """What is generated piece by piece is never whole in memory."""
    generated = 0

    def pieces() -> Iterator[bytes]:
        nonlocal generated
        noise = np.random.default_rng(0)
        for _ in range(8):
            generated += 1
            yield json.dumps(noise.random(10_000).tolist()).encode()

    async def first() -> int:
        stream = compression.compress(pieces())
        await anext(stream)
        await stream.aclose()
        return generated

    assert asyncio.run(first()) == 1


def test_an_old_client_gets_a_length(bernoulli: Served) -> None:
    """HTTP/1.0 has no chunks, so the text is sent as it is."""
    sent: list[dict[str, Any]] = []

    async def ask() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "http_version": "1.0",
            "path": "/sample",
            "query_string": b"n=2000&seed=3",
            "headers": [(b"accept-encoding", b"gzip")],
        }
        await bernoulli.app(scope, None, send)  # type: ignore[arg-type]  # no body

    bernoulli.run(ask())

    headers = dict(sent[0]["headers"])
    length = sum(len(message["body"]) for message in sent[1:])
    assert b"content-encoding" not in headers
    assert int(headers[b"content-length"]) == length
