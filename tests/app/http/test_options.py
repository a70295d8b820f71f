"""Options in query and body: a default is as good as none, two values are an error."""

from typing import Any

import pytest

from tests.app.served import Served, assert_problem

X = {"x": [[0, 1] * 8]}


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("POST", "/encode?resize=false", X),
        ("POST", "/encode", {**X, "resize": False}),
        ("POST", "/elbo?resize=false&n_samples=1", X),
        ("POST", "/decode?scale=1", {"z": [[0, 0, 0]]}),
        ("POST", "/decode", {"z": [[0, 0, 0]], "scale": 1, "columns": None}),
        ("POST", "/sample?scale=1&n=1&temperature=1&draw=mean", {"n": 2, "seed": 42}),
        ("GET", "/sample?scale=1&n=2&seed=42&temperature=1.0&draw=mean", None),
    ],
)
def test_a_default_is_never_an_error(
    bernoulli: Served, method: str, url: str, body: dict[str, Any] | None
) -> None:
    """Not even where the option does not apply, as pictures' where there are none."""
    arguments = {} if body is None else {"json": body}
    response = bernoulli.request(method, url, **arguments)

    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("url", "body", "n_samples"),
    [
        ("/elbo?n_samples=1", {"n_samples": 8}, 8),
        ("/elbo?n_samples=8", {"n_samples": 1}, 8),
        ("/elbo?n_samples=8", {"n_samples": 8}, 8),
        ("/elbo?n_samples=1", {"n_samples": 1}, 1),
    ],
)
def test_a_default_gives_way_to_another_value(
    bernoulli: Served, url: str, body: dict[str, Any], n_samples: int
) -> None:
    """From the query or from the body; the same value twice is fine."""
    answer = bernoulli.post(url, {**X, "seed": 1, **body}).json()

    assert answer["n_samples"] == n_samples


@pytest.mark.parametrize(
    ("url", "body", "got"),
    [
        ("/elbo?n_samples=4", {"n_samples": 8}, "4 in the query and 8 in the body"),
        ("/elbo?seed=4", {"seed": 5}, "4 in the query and 5 in the body"),
        (
            "/elbo?binarize=sample",
            {"binarize": "threshold"},
            '"sample" in the query and "threshold" in the body',
        ),
        ("/elbo?seed=1", {"seed": True}, "1 in the query and true in the body"),
        (
            "/elbo?seed=<script>",
            {"seed": [1]},
            "a string in the query and an array in the body",
        ),
    ],
)
def test_two_values_are_an_error_that_names_both(
    bernoulli: Served, url: str, body: dict[str, Any], got: str
) -> None:
    """Numbers and words as they are, anything else by its kind."""
    problem = assert_problem(bernoulli.post(url, {**X, **body}), 422)

    [fault] = problem["errors"]
    assert fault["pointer"] == f"/{next(iter(body))}"
    assert fault["detail"] == f"expected one value, got {got}"


def test_an_option_twice_in_the_query_is_an_error(bernoulli: Served) -> None:
    """No client sends that, and two readers may take one or the other."""
    problem = assert_problem(bernoulli.get("/sample?n=1&n=2"), 422)

    [fault] = problem["errors"]
    assert fault["detail"] == "expected once, got it twice in the query"


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/encode?resize=true", X),
        ("/encode?resize=0", X),
        ("/encode", {**X, "resize": True}),
        ("/decode?scale=2", {"z": [[0, 0, 0]]}),
        ("/decode?columns=1", {"z": [[0, 0, 0]]}),
        ("/interpolate?scale=1", {"z": [[0, 0, 0], [1, 1, 1]]}),
    ],
)
def test_another_value_where_it_does_not_apply_is_an_error(
    bernoulli: Served, url: str, body: dict[str, Any]
) -> None:
    """What asks for something that will not happen is not ignored."""
    assert_problem(bernoulli.post(url, body), 422)


@pytest.mark.parametrize("dims", [0, "0", "0,2", {"0": 0}])
def test_a_list_in_a_body_is_a_list(bernoulli: Served, dims: Any) -> None:
    """Only the query has lists as one text, as in `dims=0,2`."""
    response = bernoulli.post("/traverse", {"z": [[0, 0, 0]], "dims": dims})

    problem = assert_problem(response, 422)
    assert problem["errors"][0]["pointer"] == "/dims"


@pytest.mark.parametrize("text", ["", "0,", "0,a", "0.5", "true", "9" * 40])
def test_a_list_in_the_query_has_numbers(bernoulli: Served, text: str) -> None:
    """Each part is checked as an element of the list."""
    response = bernoulli.post(f"/traverse?dims={text}", {"z": [[0, 0, 0]]})

    problem = assert_problem(response, 422)
    assert problem["errors"][0]["pointer"].startswith("/dims")
