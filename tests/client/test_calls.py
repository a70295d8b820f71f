"""Requests are built and answers read without a socket, against a service's bytes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from client import LimitError, Model, UnexpectedAnswerError, calls
from client.calls import Call
from client.messages import SAFETENSORS, Request, Response, checked
from tests.app.served import Served

T = TypeVar("T")


@pytest.fixture(scope="module")
def gaussian(checkpoints: Path) -> Iterator[Served]:
    """Serve a Gaussian MLP of data_shape (5,), in this process."""
    with Served(checkpoints / "gaussian") as served:
        yield served


@pytest.fixture(scope="module")
def model(gaussian: Served) -> Model:
    """Return what the Gaussian service says that it serves."""
    return answered(gaussian, calls.model())


def answered(served: Served, call: Call[T]) -> T:
    """Make a call over ASGI."""
    results = []
    for request in call.requests:
        came = served.request(
            request.method,
            request.path,
            params=request.parameters(),
            headers=request.headers(),
            content=request.body(),
        )
        response = Response(came.status_code, came.headers, came.content)
        results.append(call.read(request, checked(request, response)))
    return call.join(results)


def limited(model: Model, **limits: int) -> Model:
    """Return the model under other limits."""
    return replace(model, limits=replace(model.limits, **limits))


def sizes(call: Call[Any]) -> list[int]:
    """Return how many rows each request of a call has."""
    return [len(rows) for request in call.requests for _, rows in request.tensors]


def test_a_gaussian_decoding_has_a_log_variance(gaussian: Served, model: Model) -> None:
    """It is there, split or not, under the name of the contract."""
    z = np.random.default_rng(6).normal(size=(9, 3))
    json = gaussian.post("/decode", {"z": z.astype(np.float32).tolist()}).json()

    whole = answered(gaussian, calls.decode(z, model))
    split = answered(gaussian, calls.decode(z, limited(model, max_rows=4)))

    assert whole.likelihood == split.likelihood == "gaussian"
    for decoding in (whole, split):
        assert decoding.log_var is not None
        assert np.array_equal(decoding.mean, np.float32(json["mean"]))
        assert np.array_equal(decoding.log_var, np.float32(json["log_var"]))


def test_a_likelihood_without_ends_has_no_range(model: Model) -> None:
    """The support of a Gaussian is the real numbers."""
    assert model.likelihood.kind == "gaussian"
    assert model.likelihood.value_range is None


def test_pieces_keep_to_every_limit_and_are_equal(model: Model) -> None:
    """Rows, bytes of the body, and values of the answer each bound a piece."""
    x, z = np.zeros((100, 5)), np.zeros((100, 3))

    assert sizes(calls.encode(x, model)) == [100]
    assert sizes(calls.encode(x, limited(model, max_rows=100))) == [100]
    assert sizes(calls.encode(x, limited(model, max_rows=99))) == [50, 50]
    assert sizes(calls.encode(x, limited(model, max_rows=34))) == [33, 33, 34]
    assert sizes(calls.decode(z, limited(model, max_output_values=254))) == [50, 50]
    # 1,024 bytes hold a header and (1024 - 256) / 20 = 38 rows of x, 64 rows of z.
    of_x = calls.encode(x, limited(model, max_body_bytes=1024))
    of_z = calls.decode(z, limited(model, max_body_bytes=1024))
    assert sizes(of_x) == [33, 33, 34]
    assert sizes(of_z) == [50, 50]
    assert max(len(request.body()) for request in of_x.requests) <= 1024
    assert [request.first_row for request in of_x.requests] == [0, 33, 66]


@pytest.mark.parametrize("n_rows", [0, 1, 16, 17, 300, 1000])
@pytest.mark.parametrize(("most", "multiple"), [(16, 16), (37, 16), (256, 16), (7, 1)])
def test_pieces_are_cut_at_multiples(n_rows: int, most: int, multiple: int) -> None:
    """All but the last are multiples, none is too long, and all rows are there."""
    whole = Request(
        "POST",
        "/refine",
        tensors=(("x", np.arange(n_rows)), ("mask", -np.arange(n_rows))),
        n_rows=n_rows,
        first_row=32,
        first=5,
    )

    pieces = whole.cut(most, multiple=multiple)

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


def test_stochastic_calls_keep_to_every_limit(model: Model) -> None:
    """They are refused where the service would refuse them."""
    options: dict[str, Any] = {"seed": 1, "temperature": 1.0, "draw": "mean"}
    scored: dict[str, Any] = {"seed": 1, "n_samples": 1, "binarize": None}

    with pytest.raises(LimitError, match="n of at most 2, "):
        calls.sample(3, limited(model, max_output_values=14), **options)
    with pytest.raises(LimitError, match="rows of at most 38, "):
        calls.elbo(np.zeros((39, 5)), limited(model, max_body_bytes=1024), **scored)


def test_rows_no_limit_allows_are_left_to_the_service(model: Model) -> None:
    """A row longer than a body may be goes alone, and the service says why not."""
    narrow = limited(model, max_body_bytes=100, max_output_values=1)

    assert sizes(calls.encode(np.zeros((2, 5)), narrow)) == [1, 1]
    assert sizes(calls.decode(np.zeros((0, 3)), narrow)) == [0]


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (["1"], TypeError),
        ([1j], TypeError),
        (np.array([None]), TypeError),
        (3.0, ValueError),
        ([[1.0], [1.0, 2.0]], ValueError),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(
    model: Model, values: Any, error: type[Exception]
) -> None:
    """As numpy would refuse it, before anything is sent."""
    with pytest.raises(error):
        calls.encode(values, model)


def test_values_are_rounded_and_overflow_is_not_hidden(model: Model) -> None:
    """float64 is rounded to float32; what does not fit arrives as infinite."""
    [request] = calls.encode([[0.1, 1e39, -1e39, 2, 1]], model).requests

    assert request.tensors[0][1].dtype == np.float32
    wanted = np.array([[0.1, np.inf, -np.inf, 2, 1]], np.float32)
    assert np.array_equal(request.tensors[0][1], wanted)


def safetensors(metadata: dict[str, str], **tensors: NDArray[np.float32]) -> Response:
    """Return an answer with these arrays."""
    return Response(
        200, {"content-type": SAFETENSORS}, save(tensors, metadata=metadata)
    )


def test_an_answer_short_of_something_is_no_answer(model: Model) -> None:
    """A missing array, row or scalar is an error, never another result."""
    call = calls.elbo(np.zeros((2, 5)), model, n_samples=1, seed=1, binarize=None)
    [request] = call.requests
    one, two = np.zeros(1, np.float32), np.zeros(2, np.float32)
    told = {"n_samples": "1", "seed": "1", "units": "nats"}
    arrays = {"elbo": two, "log_likelihood": two, "kl": two, "kl_per_dim": two}

    assert call.read(request, safetensors(told, **arrays)).seed == 1
    for metadata, tensors, words in (
        (told, {**arrays, "kl": one}, r"'kl' of 2 rows, got \[1\]"),
        (told, {"elbo": two}, "a tensor 'log_likelihood'"),
        ({**told, "seed": "-"}, arrays, "'seed' to be an integer"),
        ({"seed": "1", "n_samples": "1"}, arrays, "'units' in the answer's metadata"),
    ):
        with pytest.raises(UnexpectedAnswerError, match=words):
            call.read(request, safetensors(metadata, **tensors))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"likelihood": 3}', b"<p>"])
def test_a_card_that_does_not_say_is_no_card(body: bytes) -> None:
    """Shapes and limits are needed; another program's JSON has none."""
    call = calls.model()

    with pytest.raises(UnexpectedAnswerError, match=r"^expected "):
        call.read(call.requests[0], Response(200, {}, body))
