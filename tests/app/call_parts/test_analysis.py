"""The options of an analysis, and its limits of size and time."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.departed import ask_and_leave
from tests.app.served import Served, assert_problem

ANALYSES = ["loglik", "gap", "refine", "posterior"]
ROW = [0, 1] * 8
# Of the tiny model some minutes of compute, so it is under way when its end comes.
LONG = {"x": [ROW] * 4000, "budget": 65_536, "target": 0}


@pytest.fixture(scope="module")
def small(checkpoints: Path) -> Iterator[Served]:
    """Serve with limits that are easily reached."""
    with Served(
        checkpoints / "plane",
        max_analysis_rows=3,
        max_draws=512,
        max_output_values=2 * 2 * 129**2,
    ) as served:
        yield served


@pytest.mark.parametrize("name", [*ANALYSES, "anomaly"])
def test_rows_over_the_limit_are_refused(small: Served, name: str) -> None:
    """413 states the limit, which other operations do not have."""
    problem = assert_problem(small.post(f"/{name}", {"x": [ROW] * 4}), 413)

    assert "at most 3 rows" in problem["detail"]
    assert small.post("/encode", {"x": [ROW] * 4}).status_code == 200


@pytest.mark.parametrize(
    ("url", "options", "pointer", "words"),
    [
        ("/loglik", {"n_samples": 17}, "/n_samples", "expected 1 to 16, got 17"),
        ("/loglik", {"n_samples": 0}, "/n_samples", "greater than or equal to 1"),
        ("/loglik", {"budget": 513}, "/budget", "expected 256 to 512, got 513"),
        ("/loglik", {"budget": 255}, "/budget", "greater than or equal to 256"),
        ("/loglik", {"target": -1}, "/target", "greater than or equal to 0"),
        ("/loglik", {"upper": 1}, "/upper", "a valid boolean"),
        ("/loglik", {"n_samples": 4, "target": 1.0}, "/n_samples", "got both"),
        ("/loglik", {"n_samples": 4, "budget": 300}, "/n_samples", "got both"),
        ("/gap", {"budget": 513}, "/budget", "expected 256 to 512, got 513"),
        ("/gap", {"n_samples": 4}, "/n_samples", "unknown name"),
        ("/refine", {"first": -1}, "/first", "greater than or equal to 0"),
        ("/posterior", {"first": 2**53 + 1}, "/first", "less than or equal to"),
    ],
)
def test_options_out_of_bounds_are_refused(
    small: Served, url: str, options: dict[str, Any], pointer: str, words: str
) -> None:
    """422 points to the option and states its bounds."""
    problem = assert_problem(small.post(url, {"x": [ROW], **options}), 422)

    assert problem["errors"][0]["pointer"] == pointer
    assert words in problem["errors"][0]["detail"]


@pytest.mark.slow("analyzes as much as is allowed")
def test_what_is_at_the_limit_is_answered(small: Served) -> None:
    """A limit is the most that is allowed."""
    for url, options in (
        ("/loglik", {"n_samples": 16}),
        ("/loglik", {"budget": 512}),
        ("/gap", {"budget": 512}),
        ("/refine", {}),
    ):
        assert small.post(url, {"x": [ROW] * 3, **options}).status_code == 200
    assert small.post("/posterior", {"x": [ROW] * 2}).status_code == 200


def test_the_default_budget_keeps_to_the_limit(small: Served) -> None:
    """A request without options is within what the operator allows."""
    found = small.post("/loglik", {"x": [ROW], "target": 0}).json()

    assert found["n_samples"] == [512]


def test_grids_over_the_limit_are_refused(small: Served) -> None:
    """The size of what `/posterior` would answer is known before it is computed."""
    problem = assert_problem(small.post("/posterior", {"x": [ROW] * 3}), 413)

    assert f"the limit is {2 * 2 * 129**2} " in problem["detail"]


@pytest.mark.parametrize("name", ANALYSES)
def test_work_over_the_limit_is_refused(checkpoints: Path, name: str) -> None:
    """413 states the limit and what the request would come to."""
    with Served(checkpoints / "plane", max_analysis_work=100_000) as served:
        problem = assert_problem(served.post(f"/{name}", {"x": [ROW]}), 413)

    assert "the limit is 100000" in problem["detail"]
    assert "1 rows of up to" in problem["detail"]


@pytest.mark.slow("computes upper bounds")
def test_options_are_query_parameters_too(small: Served) -> None:
    """Booleans, too, mean in the query what they mean in the body."""
    body = small.post("/loglik", {"x": [ROW], "seed": 1, "upper": True})
    query = small.post("/loglik?seed=1&upper=true", {"x": [ROW]})
    neither = small.post("/loglik?seed=1&upper=false", {"x": [ROW]})

    assert body.content == query.content
    assert "upper" in query.json()
    assert "upper" not in neither.json()


def test_a_likelihood_without_gray_values_has_nothing_to_binarize(
    gaussian: Served,
) -> None:
    """`binarize` with a Gaussian model is a fault, as in `/elbo`."""
    asked = {"x": [[0.0] * 5], "binarize": "threshold"}

    problem = assert_problem(gaussian.post("/gap", asked), 422)

    assert problem["errors"][0]["pointer"] == "/binarize"


def test_what_is_over_the_number_in_hand_is_told_to_come_back(
    checkpoints: Path,
) -> None:
    """Of two at once one is answered, the other gets 429 with Retry-After."""
    with Served(checkpoints / "bernoulli", max_analyses=1) as served:
        asked = ("POST", "/refine", {"json": {"x": [ROW]}})
        responses = served.together([asked, asked])
        again = served.post("/refine", {"x": [ROW]})

    by_status = {response.status_code: response for response in responses}
    assert by_status.keys() == {200, 429}
    assert_problem(by_status[429], 429)
    assert by_status[429].headers["retry-after"] == "2"
    assert again.status_code == 200


@pytest.mark.slow("computes analyses")
def test_an_analysis_past_its_deadline_is_ended(checkpoints: Path) -> None:
    """504 states the deadline, and the service answers on."""
    with Served(
        checkpoints / "bernoulli", request_timeout=0.2, max_analysis_rows=4000
    ) as served:
        problem = assert_problem(served.post("/gap", LONG), 504)
        after = served.post("/encode", {"x": [ROW]})

    assert "0.2 seconds" in problem["detail"]
    assert after.status_code == 200


@pytest.mark.slow("computes analyses")
def test_a_departed_client_ends_its_analysis(checkpoints: Path) -> None:
    """The slices left of a client that leaves do not hold up the next request."""
    with Served(
        checkpoints / "bernoulli",
        max_analyses=1,
        max_analysis_rows=4000,
        request_timeout=20,
    ) as served:
        sent = ask_and_leave(served, "/gap", json.dumps(LONG).encode())
        after = served.get("/metrics").text
        answer = served.post("/gap", {"x": [ROW]})

    assert sent == []
    assert 'vae_requests_total{route="/gap",status="499"} 1.0' in after
    assert answer.status_code == 200


def test_the_card_states_the_limits(small: Served) -> None:
    """A client sees what it may ask for, and in which types, at `/model`."""
    card = small.get("/model").json()

    assert card["limits"]["max_analysis_rows"] == 3
    assert card["limits"]["max_draws"] == 512
    assert card["limits"]["max_analysis_work"] == small.settings.max_analysis_work
    for name in ANALYSES:
        assert card["media_types"][name] == {
            "request": [
                "application/json",
                "application/vnd.safetensors",
                "application/x-npy",
            ],
            "response": ["application/json", "application/vnd.safetensors"],
        }
