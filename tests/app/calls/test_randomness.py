"""Stochastic answers depend on the checkpoint, the request and its seed only."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.noise import BLOCK_ROWS
from tests.app.served import Served, assert_problem

GRAY = np.random.default_rng(2).random((40, 16)).tolist()


@pytest.mark.slow("sends hundreds of requests")
def test_answers_are_the_same_under_32_concurrent_clients(bernoulli: Served) -> None:
    """The bytes of an answer are those it has alone, whatever is asked beside it."""
    requests: list[tuple[str, str, dict[str, Any]]] = []
    for i in range(32):
        options = {"seed": i, "binarize": "sample", "n_samples": 1 + i % 3}
        requests += [
            ("POST", "/sample", {"json": {"n": 1 + i, "seed": i, "draw": "sample"}}),
            ("POST", "/elbo", {"json": {"x": GRAY[: 1 + i], **options}}),
        ]
    alone = [bernoulli.request(*request[:2], **request[2]) for request in requests]

    together = bernoulli.together(requests)

    for one, other in zip(alone, together, strict=True):
        assert one.status_code == 200
        assert one.content == other.content


def test_a_row_of_a_sample_does_not_depend_on_n(bernoulli: Served) -> None:
    """The first rows of many are the rows of few, bit for bit."""
    for draw in ("mean", "sample"):
        asked = {"seed": 3, "draw": draw}

        few = bernoulli.post("/sample", {**asked, "n": 3}).json()
        many = bernoulli.post("/sample", {**asked, "n": 300}).json()

        assert many["x"][:3] == few["x"]
        assert many["z"][:3] == few["z"]


def test_a_row_of_an_elbo_does_not_depend_on_n(bernoulli: Served) -> None:
    """A row is scored with the same noise however many rows follow it."""
    options = {"seed": 3, "n_samples": 5, "binarize": "sample"}

    few = bernoulli.post("/elbo", {"x": GRAY[:2], **options}).json()
    many = bernoulli.post("/elbo", {"x": GRAY, **options}).json()

    for name in ("elbo", "log_likelihood", "kl", "kl_per_dim"):
        assert many[name][:2] == few[name]


@pytest.mark.parametrize("draw", ["mean", "sample"])
@pytest.mark.parametrize("name", ["bernoulli", "gaussian"])
def test_pieces_of_a_sample_are_the_whole(
    request: pytest.FixtureRequest, name: str, draw: str
) -> None:
    """Asked for from any row on, also beyond where noise starts anew, to the bit."""
    served: Served = request.getfixturevalue(name)
    asked = {"seed": 3, "draw": draw}
    start = BLOCK_ROWS - 5
    whole = served.post("/sample", {**asked, "n": 10, "first": start}).json()

    pieces = [
        served.post("/sample", {**asked, "n": n, "first": start + first}).json()
        for first, n in ((0, 3), (3, 4), (7, 3))
    ]

    for key in ("x", "z"):
        assert [row for piece in pieces for row in piece[key]] == whole[key]


def test_pieces_of_an_elbo_are_the_whole(bernoulli: Served) -> None:
    """Noise and binarization of a row are those of its position, to the bit."""
    options = {"seed": 3, "n_samples": 5, "binarize": "sample"}
    start = BLOCK_ROWS - 20
    whole = bernoulli.post("/elbo", {"x": GRAY, **options, "first": start}).json()

    pieces = [
        bernoulli.post(
            "/elbo", {"x": GRAY[cut], **options, "first": start + cut.start}
        ).json()
        for cut in (slice(0, 7), slice(7, 33), slice(33, 40))
    ]

    for name in ("elbo", "log_likelihood", "kl", "kl_per_dim"):
        assert [row for piece in pieces for row in piece[name]] == whole[name]


def test_a_start_that_costs_too_much_noise_is_refused(checkpoints: Path) -> None:
    """413 says from where on noise is cheap; there the request is answered."""
    asked = {"x": GRAY[:1], "n_samples": 10_000, "binarize": "threshold"}
    far = BLOCK_ROWS - 1

    with Served(checkpoints / "bernoulli", max_work=far * 10_000) as served:
        refused = served.post("/elbo", {**asked, "first": far})
        answered = served.post("/elbo", {**asked, "first": 5 * BLOCK_ROWS})

    problem = assert_problem(refused, 413)
    assert (
        f"at most {far // 3} rows after a multiple of {BLOCK_ROWS}" in problem["detail"]
    )
    assert answered.status_code == 200


def test_different_seeds_differ(bernoulli: Served) -> None:
    """A seed changes what it should change."""
    first, second = (
        bernoulli.post("/sample", {"seed": seed}).json() for seed in (1, 2)
    )

    assert first["z"] != second["z"]
    assert first["x"] != second["x"]
