"""`/impute` against the conditional Gaussians of probabilistic PCA."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import save

from tests import normal
from tests.app.known import Known
from tests.app.served import Served, assert_problem
from tests.model.ppca import VARIANCE, D, N, Ppca, bias

MASK = np.array([[1, 0, 1, 0, 1], [0, 0, 0, 1, 0], [1, 1, 1, 1, 0], [0, 1, 1, 0, 1]])
N_DRAWS = 20_032  # a multiple of 64
ROW, HALF = [0, 1] * 8, [1, 0] * 8
SAFETENSORS = {"content-type": "application/vnd.safetensors"}


class Conditional(NamedTuple):
    """Mean, (M,), and covariance, (M, M), of x_m given x_o, and log p(x_o)."""

    mean: np.ndarray
    covariance: np.ndarray
    log_p_observed: float


def ask(served: Served, **document: Any) -> dict[str, Any]:
    """Return the answer, arrays as numpy's."""
    response = served.post("/impute", document)
    assert response.status_code == 200, response.text
    return {
        name: np.array(value) if isinstance(value, list) else value
        for name, value in response.json().items()
    }


def conditional(model: Ppca, n: int) -> Conditional:
    """Condition the joint Gaussian of row n on what is observed of it."""
    o, m = MASK[n] == 1, MASK[n] == 0
    w, b, x = model.w.numpy(), bias(model.vae.decoder.mu).numpy(), model.x[n].numpy()
    c = w @ w.T + VARIANCE * np.eye(D)
    gain = c[np.ix_(m, o)] @ np.linalg.inv(c[np.ix_(o, o)])
    return Conditional(
        mean=b[m] + gain @ (x[o] - b[o]),
        covariance=c[np.ix_(m, m)] - gain @ c[np.ix_(o, m)],
        log_p_observed=float(normal.log_density(x[o], b[o], c[np.ix_(o, o)])),
    )


@pytest.mark.slow("imputes with many draws")
def test_the_conditional_gaussian_is_found(known: Known) -> None:
    """Mean, variance and log p(x_o) within 5 errors of K draws; x_o is given back."""
    x = known.model.x.float()
    found = ask(known.served, x=x.tolist(), mask=MASK.tolist(), n_draws=N_DRAWS, seed=1)

    ess = found["effective_sample_size"]
    assert (ess > 0.2 * N_DRAWS).all()
    for n in range(N):
        wanted, m = conditional(known.model, n), MASK[n] == 0
        variance = wanted.covariance.diagonal()
        off = np.abs(found["mean"][n, m] - wanted.mean)
        assert (off < 4 * found["mean_standard_error"][n, m]).all()
        assert (off < 5 * np.sqrt(variance / ess[n])).all()
        off = np.abs(found["variance"][n, m] - variance)
        assert (off < 4 * found["variance_standard_error"][n, m] + 1e-6).all()
        assert (off < 5 * variance * np.sqrt(2 / ess[n])).all()
        off = np.abs(found["log_p_observed"][n] - wanted.log_p_observed)
        assert off < 4 * found["log_p_observed_standard_error"][n]
    assert found["is_reliable"].all()
    known_ = MASK == 1
    mean = found["mean"].astype(np.float32)
    np.testing.assert_array_equal(mean[known_], x.numpy()[known_])
    for name in ("variance", "mean_standard_error", "variance_standard_error"):
        assert (found[name][known_] == 0).all()
    assert found["n_draws"] == N_DRAWS
    assert found["units"] == "nats"


def test_samples_have_the_moments_of_the_conditional(known: Known) -> None:
    """2,000 draws of each whole row: their mean and covariance."""
    x = known.model.x.float()
    found = ask(
        known.served,
        x=x.tolist(),
        mask=MASK.tolist(),
        n_draws=N_DRAWS,
        n_samples=2000,
        seed=2,
    )

    assert found["samples"].shape == (N, 2000, D)
    for n in range(N):
        wanted, m = conditional(known.model, n), MASK[n] == 0
        drawn = found["samples"][n]
        sd = np.sqrt(wanted.covariance.diagonal())
        off = np.abs(drawn[:, m].mean(axis=0) - wanted.mean)
        assert (off < 5 * sd / np.sqrt(2000)).all()
        covariance = np.atleast_2d(np.cov(drawn[:, m].T))
        off = np.abs(covariance - wanted.covariance)
        assert (off < 5 * np.outer(sd, sd) * np.sqrt(2 / 2000)).all()
        assert (drawn[:, ~m].astype(np.float32) == x[n].numpy()[~m]).all()


def test_missing_values_are_never_read(bernoulli: Served, gaussian: Served) -> None:
    """Whatever is in their place, NaN in safetensors too, the answer is the same."""
    x, mask = [[0.5, -1.0, 2.0, 0.0, 1.0]], [[1, 0, 1, 0, 1]]
    wanted = ask(gaussian, x=x, mask=mask, seed=1)
    other = ask(gaussian, x=[[0.5, 9e9, 2.0, -7, 1.0]], mask=mask, seed=1)
    tensors = {
        "x": np.array([[0.5, np.nan, 2.0, np.inf, 1.0]], np.float32),
        "mask": np.array(mask, np.bool_),
    }

    by_tensor = gaussian.post_raw("/impute?seed=1", save(tensors), SAFETENSORS)

    for name, values in wanted.items():
        np.testing.assert_array_equal(other[name], values)
        np.testing.assert_array_equal(by_tensor.json()[name], values)
    # No value outside the support where it is missing is one.
    assert ask(bernoulli, x=[[7, 1] * 8], mask=[[0, 1] * 8])["mean"].shape == (1, 4, 4)


def test_all_and_nothing_may_be_missing(bernoulli: Served) -> None:
    """A row that is known comes back; of an unknown one log p(x_o) is 0."""
    found = ask(bernoulli, x=[ROW, ROW], mask=[[1] * 16, [0] * 16], seed=1)

    assert (found["mean"][0].ravel() == ROW).all()
    assert (found["samples"][0].ravel() == ROW).all()
    assert found["log_p_observed"][0] < 0
    assert found["log_p_observed"][1] == 0
    assert found["log_p_observed_standard_error"][1] == 0
    assert found["is_reliable"].tolist() == [True, True]
    assert set(found["samples"][1].ravel()) == {0, 1}
    assert found["samples"].shape == (2, 1, 4, 4)


@pytest.mark.slow("imputes rows twice")
def test_a_row_is_its_own(gaussian: Served) -> None:
    """Rows beyond a slice, asked about alone at their position, answer the same."""
    x = np.random.default_rng(0).normal(size=(20, 5)).tolist()
    mask = [[1, 0, 1, 0, 1]] * 20
    asked = {"mask": mask, "n_draws": 50, "n_samples": 3, "seed": 5}

    whole = ask(gaussian, x=x, **asked)
    asked["mask"] = mask[17:]
    part = ask(gaussian, x=x[17:], first=17, **asked)

    for name in ("mean", "variance", "samples", "log_p_observed"):
        np.testing.assert_allclose(part[name], whole[name][17:], rtol=1e-3, atol=1e-3)


@pytest.mark.slow("imputes again and again")
def test_load_does_not_matter_and_a_seed_repeats(plane: Served) -> None:
    """The same request has the same bytes; the response has the seed drawn."""
    document = {"x": [ROW], "mask": [HALF]}
    asked = ("POST", "/impute", {"json": {**document, "seed": 5}})

    alone = plane.together([asked])[0]
    among = plane.together([("POST", "/gap", {"json": {"x": [ROW]}}), asked, asked])
    drawn = plane.post("/impute", document).json()

    assert among[1].content == among[2].content == alone.content
    assert plane.post("/impute", {**document, "seed": drawn["seed"]}).json() == drawn


def test_gray_values_are_binarized_as_asked(bernoulli: Served) -> None:
    """By threshold; only what is known is looked at."""
    gray = [[0.2, 0.7] * 8]
    found = ask(bernoulli, x=gray, mask=[HALF], seed=1, binarize="threshold")
    problem = assert_problem(
        bernoulli.post("/impute", {"x": gray, "mask": [HALF]}), 422
    )

    assert (found["mean"].ravel()[::2] == 0).all()
    assert problem["errors"][0]["pointer"] == "/x/0/0"


@pytest.mark.parametrize(
    ("options", "status", "pointer", "words"),
    [
        ({"n_draws": 513}, 422, "/n_draws", "expected 1 to 512, got 513"),
        ({"n_samples": 513}, 422, "/n_samples", "expected 1 to 512, got 513"),
        ({"n_samples": 0}, 422, "/n_samples", "greater than or equal to 1"),
        ({"target": 1}, 422, "/target", "unknown name"),
        ({"n_samples": 100}, 413, None, "the limit is 1000 "),
    ],
)
def test_options_out_of_bounds_are_refused(
    checkpoints: Path,
    options: dict[str, Any],
    status: int,
    pointer: str | None,
    words: str,
) -> None:
    """Each says its bounds."""
    with Served(checkpoints / "plane", max_draws=512, max_output_values=1000) as served:
        document = {"x": [ROW], "mask": [HALF], **options}
        problem = assert_problem(served.post("/impute", document), status)
        default = ask(served, x=[ROW], mask=[HALF])

    assert words in problem["detail"]
    if pointer is not None:
        assert problem["errors"][0]["pointer"] == pointer
    assert default["n_draws"] == 512


def test_work_over_the_limit_is_refused(checkpoints: Path) -> None:
    """413 states the limit and what the request would come to."""
    with Served(checkpoints / "plane", max_analysis_work=100_000) as served:
        problem = assert_problem(
            served.post("/impute", {"x": [ROW], "mask": [HALF]}), 413
        )

    assert "the limit is 100000" in problem["detail"]


def test_a_row_that_overflows_is_named(gaussian: Served) -> None:
    """Only by what is known of it."""
    x = [[0.0] * 5] * 17 + [[3e38] * 5]

    problem = assert_problem(
        gaussian.post("/impute", {"x": x, "mask": [[1] * 5] * 18}), 422
    )
    found = gaussian.post("/impute", {"x": x, "mask": [[0] * 5] * 18})

    assert problem["errors"][0]["pointer"] == "/x/17/0"
    assert "a number like those of the training" in problem["detail"]
    assert found.status_code == 200


def test_npy_has_no_room_for_a_mask(plane: Served) -> None:
    """415 names what can be sent."""
    answer = plane.post_raw("/impute", b"", {"content-type": "application/x-npy"})

    assert "application/vnd.safetensors" in assert_problem(answer, 415)["detail"]
