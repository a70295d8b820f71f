"""Requests are planned without a socket: pieces, limits and their reasons."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.app.served import Served
from tests.client.planned import result_of, with_limits
from vae_client import (
    DecodeResult,
    ElboResult,
    EncodeResult,
    LimitError,
    ModelResult,
    ReconstructResult,
    RefineResult,
    SampleResult,
    plans,
)
from vae_client.plans import CallPlan

Rows = NDArray[np.float32]
REFINE = ("/refine", RefineResult)


@pytest.fixture(scope="module")
def gaussian(checkpoints: Path) -> Iterator[Served]:
    """Serve a Gaussian MLP of data_shape (5,) and three latent dimensions."""
    with Served(checkpoints / "gaussian") as served:
        yield served


@pytest.fixture(scope="module")
def model(gaussian: Served) -> ModelResult:
    """Return what the Gaussian service says that it serves."""
    return result_of(gaussian, plans.served_model())


def zeros(n: int, width: int) -> Rows:
    """Return n rows of zeros."""
    return np.zeros((n, width), np.float32)


def encode(model: ModelResult, n: int) -> CallPlan[EncodeResult]:
    """Plan to encode n rows."""
    return plans.separate_rows(model, "/encode", EncodeResult, {"x": zeros(n, 5)})


def decode(model: ModelResult, z: Rows) -> CallPlan[DecodeResult]:
    """Plan to decode rows."""
    return plans.separate_rows(model, "/decode", DecodeResult, {"z": z}, n_outputs=1)


def sizes(plan: CallPlan[Any]) -> list[int]:
    """Return how many rows each request has."""
    return [len(rows) for request in plan.requests for _, rows in request.tensors]


def test_a_gaussian_decoding_has_a_log_variance(
    gaussian: Served, model: ModelResult
) -> None:
    """It has the service's numbers, in one request or in several."""
    z = np.random.default_rng(6).normal(size=(9, 3)).astype(np.float32)
    json = gaussian.post("/decode", {"z": z.tolist()}).json()

    whole = result_of(gaussian, decode(model, z))
    split = result_of(gaussian, decode(with_limits(model, max_rows=4), z))

    assert whole.likelihood == split.likelihood == "gaussian"
    for decoding in (whole, split):
        assert decoding.log_var is not None
        assert np.array_equal(decoding.mean, np.float64(json["mean"]))
        assert np.array_equal(decoding.log_var, np.float64(json["log_var"]))


def test_pieces_keep_to_every_limit_and_are_equal(model: ModelResult) -> None:
    """Rows, bytes of the body and values of the response each limit a piece."""
    z = zeros(100, 3)

    assert sizes(encode(model, 100)) == [100]
    assert sizes(encode(with_limits(model, max_rows=100), 100)) == [100]
    assert sizes(encode(with_limits(model, max_rows=99), 100)) == [50, 50]
    assert sizes(encode(with_limits(model, max_rows=34), 100)) == [33, 33, 34]
    assert sizes(decode(with_limits(model, max_output_values=254), z)) == [50, 50]
    # 1,024 bytes hold a header and (1024 - 256) / 20 = 38 rows of x, 64 rows of z.
    of_x = encode(with_limits(model, max_body_bytes=1024), 100)
    of_z = decode(with_limits(model, max_body_bytes=1024), z)
    assert sizes(of_x) == [33, 33, 34]
    assert sizes(of_z) == [50, 50]
    assert max(len(request.body()) for request in of_x.requests) <= 1024
    assert [request.first_row for request in of_x.requests] == [0, 33, 66]


@pytest.mark.parametrize("dtype", [np.bool_, np.float32])
def test_a_mask_counts_in_the_bytes_of_a_body(
    model: ModelResult, dtype: type[np.generic]
) -> None:
    """No piece of x with a mask is longer than a body may be."""
    tensors = {"x": zeros(300, 5), "mask": np.ones((300, 5), dtype)}

    plan = plans.analysis(
        with_limits(model, max_body_bytes=1536), *REFINE, tensors, {}, first=0
    )

    assert sum(sizes(plan)) == 600
    assert 768 < max(len(request.body()) for request in plan.requests) <= 1536


def elbo(model: ModelResult, n: int, *, n_samples: int = 1) -> CallPlan[ElboResult]:
    """Plan to score n rows with so many draws of three latents each."""
    return plans.positioned_rows(
        model,
        "/elbo",
        ElboResult,
        {"x": zeros(n, 5)},
        {"n_samples": n_samples},
        first=7,
        n_draws=n_samples,
        n_noise=3 * n_samples,
    )


def test_stochastic_calls_are_split_by_position(model: ModelResult) -> None:
    """Each piece has the position of its first row; rows, bytes and work limit it."""
    whole = elbo(model, 39)
    split = elbo(with_limits(model, max_body_bytes=1024), 39)
    worked = elbo(with_limits(model, max_work=1000), 39, n_samples=10)

    assert [(r.n_rows, r.first) for r in whole.requests] == [(39, 7)]
    assert [(r.n_rows, r.first) for r in split.requests] == [(19, 7), (20, 26)]
    assert [(r.n_rows, r.first) for r in worked.requests] == [(19, 7), (20, 26)]
    assert split.requests[1].parameters()[-1] == ("first", "26")
    assert len(split.halves(split.requests[0])) == 2


def test_samples_are_split_by_their_number(model: ModelResult) -> None:
    """Each piece asks for its own n, and keeps to the values of a response."""
    few = with_limits(model, max_output_values=14)

    plan = plans.positioned_rows(
        few,
        "/sample",
        SampleResult,
        {},
        {"seed": 3},
        first=0,
        n_rows=5,
        n_outputs=1,
        n_noise=8,
    )

    asked = [dict(request.parameters()) for request in plan.requests]
    assert asked == [
        {"n": "1", "seed": "3"},
        {"n": "2", "seed": "3", "first": "1"},
        {"n": "2", "seed": "3", "first": "3"},
    ]


def test_draws_count_as_decoded_rows(model: ModelResult) -> None:
    """The service decodes every draw, and at most `max_rows` of them."""
    plan = plans.positioned_rows(
        with_limits(model, max_rows=100),
        "/reconstruct",
        ReconstructResult,
        {"x": zeros(30, 5)},
        {},
        first=0,
        n_outputs=10,
        n_noise=30,
    )

    assert sizes(plan) == [10, 10, 10]


def test_a_piece_that_starts_too_late_is_not_sent(model: ModelResult) -> None:
    """The service would refuse it, after the pieces before it were computed."""
    narrow = with_limits(model, max_work=300)

    with pytest.raises(LimitError, match="noise can be skipped for at most 10 rows"):
        elbo(narrow, 40, n_samples=10)


def test_an_analysis_without_exact_pieces_is_not_sent(model: ModelResult) -> None:
    """Pieces of fewer rows than are computed together might differ."""
    narrow = with_limits(model, max_analysis_rows=15)
    drawn = {"binarize": "sample"}

    with pytest.raises(LimitError, match=r"got 16; .*pieces of fewer than 16"):
        plans.analysis(narrow, *REFINE, {"x": zeros(16, 5)}, {}, first=0)
    for options in ({}, drawn):
        plan = plans.analysis(narrow, *REFINE, {"x": zeros(15, 5)}, options, first=0)
        assert len(plan.requests) == 1


def test_only_exact_halves_are_made(model: ModelResult) -> None:
    """At multiples of 16 rows, also of rows that are binarized by the seed."""
    tensors = {"x": zeros(70, 5)}

    drawn = {"binarize": "sample"}
    exact = plans.analysis(model, *REFINE, tensors, drawn, first=4)

    halves = exact.halves(exact.requests[0])
    assert [(half.n_rows, half.first) for half in halves] == [(32, 4), (38, 36)]
    sixteen = exact.requests[0].split(16, multiple=16)[0]
    assert exact.halves(sixteen) == ()


def test_rows_that_no_limit_allows_are_left_to_the_service(model: ModelResult) -> None:
    """A row longer than a body may be is sent alone, and the service refuses it."""
    narrow = with_limits(model, max_body_bytes=100, max_output_values=1)

    assert sizes(encode(narrow, 2)) == [1, 1]
    assert sizes(decode(narrow, zeros(0, 3))) == [0]
