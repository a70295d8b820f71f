"""`/anomaly`: scores that are the ELBO's, ranks that are p-values, honest refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from model import checkpoint
from model.dataset_elbo import estimate_elbo
from tests import uniformity
from tests.app import linear_gaussian
from tests.app.served import Served, assert_problem
from tests.model.ppca import VARIANCE
from tests.tiny import calibrated, save_tiny, tiny_config, tiny_vae

X = [[0, 1] * 8, [1, 1] * 8, [0] * 16]
SAFETENSORS = "application/vnd.safetensors"


def ask(served: Served, **document: Any) -> dict[str, Any]:
    """Return the answer, arrays as numpy's."""
    response = served.post("/anomaly", document)
    assert response.status_code == 200, response.text
    return {
        name: np.array(value) if isinstance(value, list) else value
        for name, value in response.json().items()
    }


@pytest.mark.slow("ranks thousands of rows")
@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
def test_p_values_of_rows_like_the_held_out_ones_are_uniform(
    tmp_path: Path, kind: str
) -> None:
    """
    1,000 rows drawn from the model, ranked among 9,999, as Kolmogorov-Smirnov tests.

    So many held-out rows leave the p-values, which share them, nearly independent.
    Rows of another kind do not pass.
    """
    shape = (16,) if kind == "bernoulli" else (5,)
    vae = tiny_vae(tiny_config(kind, data_shape=shape))  # type: ignore[arg-type]  # both are likelihoods
    with Served(save_tiny(tmp_path / "bare", vae)) as bare:
        held_out, rows = (
            np.array(bare.get(f"/sample?n={n}&seed={seed}&draw=sample").json()["x"])
            for seed, n in enumerate((9999, 1000))
        )
    x = torch.from_numpy(vae.in_model_units(held_out))
    scores = -estimate_elbo(vae, x, n_samples=4, seed=7).bound
    path = save_tiny(tmp_path / "full", vae, calibrated(scores))

    with Served(path, max_analysis_rows=1000) as served:
        found = ask(served, x=rows.tolist(), seed=1)
        other = rows * 3 if kind == "gaussian" else np.ones_like(rows)
        strange = ask(served, x=other.tolist(), seed=1)

    for name in ("p_value_upper", "p_value_lower", "p_value_two_sided"):
        assert uniformity.p_value(found[name]) > 0.01
        assert uniformity.p_value(strange[name]) < 1e-6
    assert found["n_calibration"] == 9999
    assert found["split"] == "validation"
    assert found["binarization"] == "static"


def test_the_p_values_are_ranks_of_the_score(plane: Served) -> None:
    """(1 + #{c >= s}) / (n + 1), (1 + #{c <= s}) / (n + 1), and twice the lesser."""
    found = ask(plane, x=X, seed=1)

    calibration = plane.checkpoint.calibration
    assert calibration is not None
    score = found["negative_elbo"]
    c = calibration.scores["negative_elbo"].values[:, None]
    upper = (1 + (c >= score).sum(axis=0)) / 100
    lower = (1 + (c <= score).sum(axis=0)) / 100
    assert (upper < 1).any()
    np.testing.assert_array_equal(found["p_value_upper"], upper)
    np.testing.assert_array_equal(found["p_value_lower"], lower)
    two_sided = np.minimum(1, 2 * np.minimum(upper, lower))
    np.testing.assert_array_equal(found["p_value_two_sided"], two_sided)
    assert found["n_samples"] == 4


def test_the_score_is_made_of_surprise_and_kl(plane: Served) -> None:
    """Surprise has the shape of data; summed, with the KL of `/elbo`, it is -ELBO."""
    found = ask(plane, x=X, seed=1)

    kl = plane.post("/elbo", {"x": X, "seed": 1}).json()["kl"]
    assert found["surprise_per_dim"].shape == (3, 4, 4)
    assert (found["surprise_per_dim"] > 0).all()
    total = found["surprise_per_dim"].reshape(3, -1).sum(axis=1) + kl
    np.testing.assert_allclose(found["negative_elbo"], total, rtol=1e-6)
    assert found["units"] == "nats"
    assert found["seed"] == 1


@pytest.mark.slow("draws many latents")
def test_the_score_estimates_the_negative_elbo(tmp_path: Path) -> None:
    """Of probabilistic PCA, with K large, that of the closed form."""
    path = tmp_path / "linear"
    model = linear_gaussian.save(path, 2)
    vae = checkpoint.load(path).vae
    scores = calibrated(np.zeros(9), n_samples=4000, binarization="none")
    save_tiny(path, vae, scores)

    with Served(path) as served:
        found = ask(served, x=model.x.tolist(), seed=1)

    exact = (model.kl - model.log_likelihood).numpy()
    # log p(x|z) is quadratic in z: from its variance, the error of a mean of K draws.
    sigma = model.v.sqrt()[:, None]
    slope = sigma * (model.w.T @ (model.r - model.mu @ model.w.T).T) / VARIANCE
    curvature = sigma * (model.w.T @ model.w) * sigma.T / VARIANCE
    variance = slope.square().sum(dim=0) + 0.5 * curvature.square().sum()
    error = (variance / 4000).sqrt().numpy()
    assert (np.abs(found["negative_elbo"] - exact) < 5 * error + 1e-4).all()
    stated = found["negative_elbo_standard_error"]
    np.testing.assert_allclose(stated, error, rtol=0.1)
    assert (error < 0.02 * exact).all()


@pytest.mark.slow("computes many estimates")
def test_the_error_of_the_score_is_calibrated(tmp_path: Path) -> None:
    """Of 250 scores of each of 4 rows with other noise, RMS(error / SE) is near 1."""
    path = tmp_path / "linear"
    model = linear_gaussian.save(path, 2)
    scores = calibrated(np.zeros(9), n_samples=128, binarization="none")
    save_tiny(path, checkpoint.load(path).vae, scores)

    with Served(path, max_analysis_rows=1000) as served:
        found = ask(served, x=model.x.repeat(250, 1).tolist(), seed=1)

    exact = (model.kl - model.log_likelihood).repeat(250).numpy()
    ratio = (found["negative_elbo"] - exact) / found["negative_elbo_standard_error"]
    assert 0.9 < np.sqrt(np.mean(ratio**2)) < 1.1


def test_a_score_of_one_draw_has_no_error(tmp_path: Path) -> None:
    """Null in JSON; not there in safetensors."""
    vae = tiny_vae(tiny_config("bernoulli", data_shape=(16,)))
    scores = calibrated(np.linspace(5, 20, 9), n_samples=1)

    with Served(save_tiny(tmp_path / "one", vae, scores)) as served:
        found = ask(served, x=X, seed=1)
        headers = {"accept": SAFETENSORS}
        answer = served.post("/anomaly", {"x": X, "seed": 1}, headers=headers)

    assert found["negative_elbo_standard_error"] is None
    assert "negative_elbo_standard_error" not in load(answer.content)
    assert (found["negative_elbo"] > 0).all()


def test_a_row_is_its_own(plane: Served) -> None:
    """Rows beyond a slice, asked about alone at their position, answer the same."""
    x = np.random.default_rng(0).integers(0, 2, (20, 16)).tolist()

    whole = ask(plane, x=x, seed=5)
    part = ask(plane, x=x[17:], seed=5, first=17)
    other = ask(plane, x=x[17:], seed=5)

    for name in ("negative_elbo", "surprise_per_dim"):
        np.testing.assert_allclose(part[name], whole[name][17:], rtol=1e-5)
        assert (part[name] != other[name]).any()


def test_formats_say_the_same(plane: Served) -> None:
    """Safetensors in and out, with the scalars as metadata."""
    x = np.array(X, np.float32)

    answer = plane.post_raw(
        "/anomaly?seed=3",
        save({"x": x}),
        {"content-type": SAFETENSORS, "accept": SAFETENSORS},
    )

    wanted = ask(plane, x=X, seed=3)
    for name, values in load(answer.content).items():
        np.testing.assert_array_equal(values, wanted[name].astype(values.dtype))
    assert b'"n_calibration":"99"' in answer.content
    assert ask(plane, x=X, seed=wanted["seed"])["negative_elbo"].tolist() == (
        wanted["negative_elbo"].tolist()
    )


def test_rows_are_binarized_only_as_the_held_out_ones_were(plane: Served) -> None:
    """Scores of rows that a threshold made binary do not rank among drawn ones."""
    gray = [[0.3] * 16]

    found = ask(plane, x=gray, seed=1, binarize="sample")
    problem = assert_problem(
        plane.post("/anomaly", {"x": gray, "binarize": "threshold"}), 422
    )

    assert found["binarize"] == "sample"
    assert problem["errors"] == [
        {
            "pointer": "/binarize",
            "detail": "expected sample, as the held-out rows were binarized (static), "
            "got threshold",
        }
    ]


def test_a_checkpoint_without_scores_is_refused(bernoulli: Served) -> None:
    """422 says what is lacking and what writes it."""
    problem = assert_problem(bernoulli.post("/anomaly", {"x": X}), 422)

    assert "held-out scores (negative_elbo), this one has none" in problem["detail"]


def test_a_row_that_overflows_is_named(tmp_path: Path) -> None:
    """A score that is not finite is a 422 about its row."""
    vae = tiny_vae(tiny_config("gaussian", data_shape=(5,)))
    scores = calibrated(np.zeros(9), binarization="none")

    with Served(save_tiny(tmp_path / "g", vae, scores)) as served:
        x = [[0.0] * 5] * 17 + [[1e38] * 5]
        problem = assert_problem(served.post("/anomaly", {"x": x}), 422)

    assert problem["errors"][0]["pointer"] == "/x/17"


def test_limits_are_kept(checkpoints: Path) -> None:
    """413 states the limit on rows, on work and on what is answered."""
    for limit, words in (
        ({"max_analysis_rows": 2}, "at most 2 rows"),
        ({"max_analysis_work": 100}, "the limit is 100"),
        ({"max_output_values": 40}, "the limit is 40 "),
    ):
        with Served(checkpoints / "plane", **limit) as served:
            problem = assert_problem(served.post("/anomaly", {"x": X}), 413)
        assert words in problem["detail"]
