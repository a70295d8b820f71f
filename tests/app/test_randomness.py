"""Stochastic answers depend on the checkpoint, the request and its seed only."""

from typing import Any

import numpy as np

from tests.app.served import Served

GREY = np.random.default_rng(2).random((40, 16)).tolist()


def test_answers_are_the_same_under_32_concurrent_clients(bernoulli: Served) -> None:
    """The bytes of an answer are those it has alone, whatever is asked beside it."""
    requests: list[tuple[str, str, dict[str, Any]]] = []
    for i in range(32):
        options = {"seed": i, "binarize": "sample", "n_samples": 1 + i % 3}
        requests += [
            ("POST", "/sample", {"json": {"n": 1 + i, "seed": i, "draw": "sample"}}),
            ("POST", "/elbo", {"json": {"x": GREY[: 1 + i], **options}}),
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

    few = bernoulli.post("/elbo", {"x": GREY[:2], **options}).json()
    many = bernoulli.post("/elbo", {"x": GREY, **options}).json()

    for name in ("elbo", "log_likelihood", "kl", "kl_per_dim"):
        assert many[name][:2] == few[name]


def test_different_seeds_differ(bernoulli: Served) -> None:
    """A seed changes what it should change."""
    first, second = (
        bernoulli.post("/sample", {"seed": seed}).json() for seed in (1, 2)
    )

    assert first["z"] != second["z"]
    assert first["x"] != second["x"]
