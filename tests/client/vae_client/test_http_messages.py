"""Requests are split, and the bodies of responses read."""

import numpy as np
import pytest
from safetensors.numpy import load, save

from vae_client import UnexpectedAnswerError
from vae_client.http_messages import (
    SAFETENSORS,
    HttpRequest,
    HttpResponse,
    read_json,
    read_tensors,
)


@pytest.mark.parametrize("n_rows", [0, 1, 16, 17, 300, 1000])
@pytest.mark.parametrize(("most", "multiple"), [(16, 16), (37, 16), (256, 16), (7, 1)])
def test_requests_are_split_at_multiples(n_rows: int, most: int, multiple: int) -> None:
    """All but the last are multiples, none is too long, and all rows are there."""
    whole = HttpRequest(
        "POST",
        "/refine",
        tensors=(("x", np.arange(n_rows)), ("mask", -np.arange(n_rows))),
        n_rows=n_rows,
        first_row=32,
        first=5,
    )

    pieces = whole.split(most, multiple=multiple)

    rows = [dict(piece.tensors) for piece in pieces]
    assert np.concatenate([r["x"] for r in rows]).tolist() == list(range(n_rows))
    assert all(piece.n_rows <= most for piece in pieces)
    assert all(piece.n_rows % multiple == 0 for piece in pieces[:-1])
    assert len(pieces) <= 2 * max(1, n_rows / most)
    for piece, tensors in zip(pieces, rows, strict=True):
        assert np.array_equal(tensors["mask"], -tensors["x"])
        assert piece.n_rows == len(tensors["x"])
        start = int(tensors["x"][0]) if n_rows else 0
        assert (piece.first_row, piece.first) == (32 + start, 5 + start)


def test_a_request_has_what_it_needs_and_no_more() -> None:
    """Without arrays no body and no content type; `first` only where it is not 0."""
    x = np.ones((2, 3), np.float32)
    request = HttpRequest("POST", "/gap", (("seed", "1"),), (("x", x),), first=0)

    assert request.parameters() == (("seed", "1"),)
    assert request._replace(first=7).parameters() == (("seed", "1"), ("first", "7"))
    assert request.headers() == {"accept": SAFETENSORS, "content-type": SAFETENSORS}
    assert np.array_equal(load(request.body())["x"], x)
    bare = HttpRequest("GET", "/readyz", accept="*/*")
    assert (bare.headers(), bare.body()) == ({"accept": "*/*"}, b"")


def test_tensors_and_scalars_are_read() -> None:
    """The scalars are the metadata of the header."""
    body = save({"x": np.ones(2)}, metadata={"seed": "3"})
    content_type = f"{SAFETENSORS.upper()}; a=b"

    read = read_tensors(HttpResponse(200, {"content-type": content_type}, body))

    assert read.tensors["x"].tolist() == [1.0, 1.0]
    assert read.scalars == {"seed": "3"}


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        ("text/html", b"<p>", f"expected {SAFETENSORS}, got text/html"),
        ("", b"<p>", f"expected {SAFETENSORS}, got no media type"),
        (SAFETENSORS, b"", "expected complete safetensors"),
        (SAFETENSORS, b"\2\0\0\0\0\0\0\0{", "expected complete safetensors"),
    ],
)
def test_other_bodies_are_not_read_as_tensors(
    content_type: str, body: bytes, message: str
) -> None:
    """The error says what was expected."""
    response = HttpResponse(200, {"content-type": content_type}, body)

    with pytest.raises(UnexpectedAnswerError, match=message):
        read_tensors(response)


@pytest.mark.parametrize("body", [b"", b"<p>", b"[]", b"1", b"\xff"])
def test_other_bodies_are_not_read_as_json(body: bytes) -> None:
    """Only an object is."""
    assert read_json(HttpResponse(200, {}, b'{"a": 1}')) == {"a": 1}
    with pytest.raises(UnexpectedAnswerError, match=r"^expected a .*JSON"):
        read_json(HttpResponse(200, {}, body))
