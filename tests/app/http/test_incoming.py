"""Bodies in gzip: the same results, within limits that count what they contain."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from app.http import incoming
from tests.app.served import Served, assert_problem

JSON, NPY = "application/json", "application/x-npy"
SAFETENSORS = "application/vnd.safetensors"
X = np.random.default_rng(7).random((400, 16), dtype=np.float32).round(3)
MAX_BODY = 1 << 20


def npy(array: NDArray[Any]) -> bytes:
    """Return an array as .npy."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def post(served: Served, body: bytes, kind: str = JSON, coding: str = "gzip") -> Any:
    """Send a body to `/encode`."""
    headers = {"content-type": kind, "content-encoding": coding}
    return served.post_raw("/encode", body, headers)


BODIES = {
    JSON: json.dumps({"x": X.tolist()}).encode(),
    NPY: npy(X),
    SAFETENSORS: save({"x": X}),
}


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip"])
@pytest.mark.parametrize("level", [0, 9])
def test_a_gzip_body_means_what_it_contains(
    bernoulli: Served, kind: str, coding: str, level: int
) -> None:
    """In every format, at any level."""
    plain = bernoulli.post_raw("/encode", BODIES[kind], {"content-type": kind})

    zipped = post(bernoulli, gzip.compress(BODIES[kind], level), kind, coding)

    assert zipped.status_code == 200
    assert zipped.content == plain.content


def test_options_and_short_bodies_may_be_in_gzip(bernoulli: Served) -> None:
    """An empty body stays empty."""
    headers = {"content-type": JSON, "content-encoding": "gzip"}
    plain = bernoulli.post("/sample", {"n": 3, "seed": 4})

    zipped = bernoulli.post_raw(
        "/sample", gzip.compress(b'{"n": 3, "seed": 4}'), headers
    )
    empty = bernoulli.post_raw("/sample?seed=4", b"", headers)

    assert zipped.content == plain.content
    assert empty.status_code == 200


@pytest.fixture(scope="module")
def narrow(checkpoints: Path) -> Any:
    """Serve with bodies of up to a mebibyte."""
    with Served(checkpoints / "bernoulli", max_body_bytes=MAX_BODY) as served:
        yield served


def spaces(n_bytes: int) -> bytes:
    """Return a valid body that ends with so much white space."""
    return json.dumps({"x": X[:1].tolist()}).encode().ljust(n_bytes)


def test_the_limit_counts_what_is_in_it(narrow: Served) -> None:
    """A body at the limit is read, and one byte more is refused, by name."""
    at_limit = post(narrow, gzip.compress(spaces(MAX_BODY)))
    above = post(narrow, gzip.compress(spaces(MAX_BODY + 1)))

    assert at_limit.status_code == 200
    said = f"expected a body of at most {MAX_BODY} bytes after decompression, got more"
    assert assert_problem(above, 413)["detail"] == said


def test_a_bomb_is_refused_before_it_takes_memory(
    bernoulli: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a mebibyte, gzip may stand for 200 times its bytes and no more."""
    bomb = gzip.compress(spaces(40 << 20), 9)
    sizes: list[int] = []
    step = incoming._step

    async def counted(*arguments: Any, **options: Any) -> bytes:
        piece = await step(*arguments, **options)
        sizes.append(len(piece))
        return piece

    monkeypatch.setattr(incoming, "_step", counted)
    problem = assert_problem(post(bernoulli, bomb), 413)

    said = "expected a body of at most 200 bytes per byte of gzip, got more"
    assert problem["detail"] == said
    assert len(bomb) < 50_000
    assert sum(sizes) <= incoming.MAX_RATIO * len(bomb) + (1 << 18)
    assert max(sizes) <= 1 << 18


def test_dense_bodies_within_the_ratio_are_read(bernoulli: Served) -> None:
    """Zeros shrink to a thousandth; up to a mebibyte they may."""
    dense = gzip.compress(npy(np.zeros((16_000, 16), np.float32)), 9)

    answer = post(bernoulli, dense, NPY)

    assert answer.status_code == 200
    assert len(answer.json()["mu"]) == 16_000


ZIPPED = gzip.compress(BODIES[JSON], mtime=0)  # the same bytes in every process


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"what is this?", "expected a gzip body (Content-Encoding), got something"),
        (BODIES[JSON], "expected a gzip body (Content-Encoding), got something else"),
        (ZIPPED[:-9], "expected a whole gzip body, got a truncated one"),
        (ZIPPED[:5], "expected a whole gzip body, got a truncated one"),
        (ZIPPED[:-5] + b"\0" + ZIPPED[-4:], "expected a gzip body"),
        (ZIPPED + b"\0", "expected one gzip member, got data after it"),
        (ZIPPED + ZIPPED, "expected one gzip member, got data after it"),
        (
            ZIPPED + bytes(1 << 18),
            "expected one gzip member, got data after it",
        ),
    ],
)
def test_what_is_not_whole_gzip_is_refused(
    bernoulli: Served, body: bytes, words: str
) -> None:
    """A 422 that says what came."""
    assert words in assert_problem(post(bernoulli, body), 422)["detail"]


@pytest.mark.parametrize(
    ("coding", "got"),
    [("br", "br"), ("deflate", "deflate"), ("gzip, gzip", "something else")],
)
def test_another_coding_is_named(bernoulli: Served, coding: str, got: str) -> None:
    """415 says which are read, also in a header."""
    refused = post(bernoulli, b"", coding=coding)

    said = f"expected a Content-Encoding of gzip, identity or none, got {got}"
    assert assert_problem(refused, 415)["detail"] == said
    assert refused.headers["accept-encoding"] == "gzip, identity"


def test_what_is_decompressed_counts_in_the_budget(checkpoints: Path) -> None:
    """Two bodies that do not fit together: one is read, the other gets 429."""
    budget = {"max_body_bytes": MAX_BODY, "max_bodies_bytes": MAX_BODY}
    headers = {"content-type": JSON, "content-encoding": "gzip"}
    body = gzip.compress(spaces(MAX_BODY))

    with Served(checkpoints / "bernoulli", **budget) as served:
        asked = ("POST", "/encode", {"content": body, "headers": headers})
        together = served.together([asked, asked])
        after = served.request("POST", "/encode", content=body, headers=headers)

    assert sorted(answer.status_code for answer in together) == [200, 429]
    assert after.status_code == 200
