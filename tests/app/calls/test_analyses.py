"""The analyses over HTTP against the closed forms of a linear-Gaussian model."""

import asyncio
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from model.inference import analyses
from model.inference.columns import named
from model.inference.effort import Effort
from model.noise import Stream, uniform
from tests.app import linear_gaussian
from tests.app.served import Served, assert_problem
from tests.model.ppca import Ppca

ANALYSES = ["loglik", "gap", "refine", "posterior"]
X = {"x": [[0, 1] * 8, [1, 1] * 8]}
# Of the closed forms in float64, with which a decoder in float32 agrees.
ROUNDING = 1e-4


class Known(NamedTuple):
    """A service and its model in closed form."""

    served: Served
    model: Ppca

    def ask(self, url: str, **options: Any) -> dict[str, Any]:
        """Return the answer about the model's data, arrays as numpy's."""
        document = {"x": self.model.x.tolist(), "seed": 1, **options}
        response = self.served.post(url, document)
        assert response.status_code == 200, response.text
        return {
            name: np.array(value) if isinstance(value, list) else value
            for name, value in response.json().items()
        }


@pytest.fixture(scope="module", params=[1, 2])
def known(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Known]:
    """Serve probabilistic PCA with one and with two latent dimensions."""
    path: Path = tmp_path_factory.mktemp("known") / "linear"
    model = linear_gaussian.save(path, request.param)
    with Served(path) as served:
        yield Known(served, model)


def test_loglik_encloses_the_evidence(known: Known) -> None:
    """With `upper` log p(x) of the closed form lies between, and near both."""
    found = known.ask("/loglik", target=0.005, budget=65_536, upper=True)

    exact = known.model.log_p_x.numpy()
    lower, upper = found["log_p_x"], found["upper"]
    assert found["is_reliable"].all()
    assert (lower < exact + 4 * found["log_p_x_standard_error"] + ROUNDING).all()
    assert (upper > exact - 4 * found["upper_standard_error"] - ROUNDING).all()
    np.testing.assert_allclose(lower, exact, atol=0.03)
    np.testing.assert_allclose(upper, exact, atol=0.05)
    np.testing.assert_allclose(found["log_p_x_pooled"], exact, atol=0.03)
    assert found["units"] == "nats"
    assert found["seed"] == 1
    assert found["binarize"] is None


def test_loglik_of_k_draws_is_that_bound(known: Known) -> None:
    """With `n_samples` it is the model's bound of as many draws and the same seed."""
    found = known.ask("/loglik", n_samples=64)

    effort = Effort.fixed(64)
    x = known.model.x.float()
    wanted = analyses.evidence(known.served.checkpoint.vae, x, effort, seed=1)
    assert (found["n_samples"] == 64).all()
    for name, column in named(wanted).items():
        np.testing.assert_allclose(
            np.float64(found[name]), np.float64(column), rtol=1e-5, atol=1e-5
        )


def test_gap_has_both_parts(known: Known) -> None:
    """Approximation 1/2 (sum log M_jj - log det M), amortisation the rest of the KL."""
    found = known.ask("/gap", target=0.005, budget=65_536)

    m, kl = known.model.m, known.model.gap.numpy()
    approximation = 0.5 * (m.diagonal().log().sum() - torch.logdet(m)).item()
    for name, exact in (
        ("approximation_gap", approximation),
        ("amortization_gap", kl - approximation),
        ("total_gap", kl),
        ("log_p_x", known.model.log_p_x.numpy()),
        ("elbo_before", (known.model.log_likelihood - known.model.kl).numpy()),
        ("elbo_after", known.model.log_p_x.numpy() - approximation),
    ):
        allowed = 4 * found[f"{name}_standard_error"] + ROUNDING * 10
        assert (np.abs(found[name] - exact) < allowed).all(), name
    assert found["converged"].all()
    assert found["is_reliable"].all()


def test_refine_finds_the_best_diagonal_gaussian(known: Known) -> None:
    """Means of the exact posterior, variances sigma^2 / M_jj (Tipping & Bishop)."""
    found = known.ask("/refine")

    model = known.model
    mean = (model.r @ model.w @ model.m.inverse()).numpy()
    log_var = np.log(0.3 / model.m.diagonal().numpy())
    np.testing.assert_allclose(found["mu"], mean, atol=1e-3)
    np.testing.assert_allclose(
        found["log_var"], np.broadcast_to(log_var, mean.shape), atol=1e-3
    )
    np.testing.assert_allclose(
        found["improvement"], found["elbo_after"] - found["elbo_before"], atol=1e-9
    )
    assert (found["improvement"] > 0).all()
    assert (found["n_steps"] > 0).all()
    assert found["converged"].all()


def test_posterior_is_the_exact_one(known: Known) -> None:
    """The Gaussian of the closed form on the grid, its moments, log p(x) and the KL."""
    found = known.ask("/posterior")

    model = known.model
    precision = (model.m / 0.3).numpy()
    mean = (model.r @ model.w @ model.m.inverse()).numpy()
    j = mean.shape[1]
    np.testing.assert_allclose(found["log_p_x"], model.log_p_x, atol=ROUNDING)
    np.testing.assert_allclose(found["kl"], model.gap, atol=10 * ROUNDING)
    np.testing.assert_allclose(found["mean"], mean, atol=ROUNDING)
    covariance = np.broadcast_to(np.linalg.inv(precision), (4, j, j))
    np.testing.assert_allclose(found["covariance"], covariance, atol=ROUNDING)
    z = np.stack(np.meshgrid(*found["axes"][0], indexing="ij"), axis=-1) - mean[0]
    square = np.einsum("...i,ij,...j->...", z, precision, z)
    log_density = 0.5 * (
        np.linalg.slogdet(precision)[1] - j * np.log(2 * np.pi) - square
    )
    np.testing.assert_allclose(found["log_posterior"][0], log_density, atol=0.01)
    assert (found["log_p_x_error"] < 1e-5).all()
    assert (found["kl_error"] < 1e-5).all()


def test_posterior_needs_few_dimensions(bernoulli: Served) -> None:
    """A model of three is refused, saying what was wanted and what came."""
    problem = assert_problem(bernoulli.post("/posterior", X), 422)

    assert "1 or 2 latent dimensions, this one has 3" in problem["detail"]


@pytest.mark.parametrize("name", ANALYSES)
def test_formats_say_the_same(plane: Served, name: str) -> None:
    """JSON, safetensors and npy in; JSON and safetensors out, flags too."""
    x = np.array(X["x"], np.float32)
    npy = BytesIO()
    np.save(npy, x)
    as_safetensors = {"accept": "application/vnd.safetensors"}

    wanted = plane.post(f"/{name}", {**X, "seed": 3}).json()
    by_safetensors = plane.post_raw(
        f"/{name}?seed=3",
        save({"x": x}),
        {"content-type": "application/vnd.safetensors", **as_safetensors},
    )
    by_npy = plane.post_raw(
        f"/{name}?seed=3", npy.getvalue(), {"content-type": "application/x-npy"}
    )

    assert by_npy.json() == wanted
    assert by_safetensors.headers["vae-seed"] == "3"
    tensors = load(by_safetensors.content)
    scalars = {"seed", "binarize", "units"}
    assert tensors.keys() == wanted.keys() - scalars
    for key, values in tensors.items():
        np.testing.assert_array_equal(values, np.array(wanted[key], values.dtype))
    assert tensors.get("converged", tensors.get("is_reliable")).dtype == np.bool_  # type: ignore[union-attr]  # each has one of them


@pytest.mark.parametrize("name", ["loglik", "gap", "refine"])
def test_a_row_is_its_own(bernoulli: Served, name: str) -> None:
    """Rows beyond a slice, asked about alone at their position, answer the same."""
    x = (np.random.default_rng(0).random((20, 16)) > 0.5).astype(int).tolist()

    whole = bernoulli.post(f"/{name}", {"x": x, "seed": 5}).json()
    part = bernoulli.post(f"/{name}", {"x": x[17:], "seed": 5, "first": 17}).json()

    for key, values in part.items():
        if isinstance(values, list):
            alone = np.array(values, np.float64)
            together = np.array(whole[key][17:], np.float64)
            np.testing.assert_allclose(alone, together, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ANALYSES)
def test_load_does_not_matter(plane: Served, name: str) -> None:
    """The same request has the same bytes, alone and among others."""
    asked = ("POST", f"/{name}", {"json": {**X, "seed": 5}})

    alone = plane.together([asked])[0]
    among = plane.together(
        [("POST", "/gap", {"json": X}), asked, ("POST", "/refine", {"json": X}), asked]
    )

    assert among[1].content == among[3].content == alone.content


@pytest.mark.parametrize("name", ANALYSES)
def test_a_missing_seed_is_told(plane: Served, name: str) -> None:
    """A seed that the server drew repeats the answer."""
    first = plane.post(f"/{name}", X).json()

    again = plane.post(f"/{name}", {**X, "seed": first["seed"]}).json()

    assert again == first


@pytest.mark.parametrize("name", ANALYSES)
def test_grey_values_are_binarised_as_asked(plane: Served, name: str) -> None:
    """By threshold and by the seed's own draw, and refused without."""
    grey = np.random.default_rng(1).random((2, 16)).astype(np.float32)
    noise = uniform((2, 16), seed=5, stream=Stream.BINARIZATION)

    for how, binary in (("threshold", grey >= 0.5), ("sample", noise < grey)):
        asked = {"x": grey.tolist(), "seed": 5, "binarize": how}
        found = plane.post(f"/{name}", asked).json()
        direct = plane.post(f"/{name}", {"x": binary.astype(int).tolist(), "seed": 5})
        assert found == {**direct.json(), "binarize": how}
    asked = {"x": grey[1:].tolist(), "seed": 5, "binarize": "sample", "first": 1}
    found = plane.post(f"/{name}", asked).json()
    x = (noise < grey)[1:].astype(int).tolist()
    direct = plane.post(f"/{name}", {"x": x, "seed": 5, "first": 1})
    assert found == {**direct.json(), "binarize": "sample"}
    problem = assert_problem(plane.post(f"/{name}", {"x": grey.tolist()}), 422)
    assert problem["errors"][0]["pointer"] == "/x/0/0"
    assert "binarize" in problem["detail"]


@pytest.mark.parametrize("name", ANALYSES)
def test_a_row_that_overflows_is_named(linear: Served, known: Known, name: str) -> None:
    """Densities that are not finite are a 422 about that row, never null."""
    served, width = (known.served, 5) if name == "posterior" else (linear, 2)
    x = [[0.0] * width] * 17 + [[3e38] * width]

    problem = assert_problem(served.post(f"/{name}", {"x": x}), 422)

    assert problem["errors"][0]["pointer"] == "/x/17"
    assert "not finite" in problem["detail"]


def test_a_posterior_beyond_resolution_is_refused(known: Known) -> None:
    """Where float64 cannot tell the z of a posterior apart, a 422 names the row."""
    x = [[1.0] * 5, [1e16] * 5]

    problem = assert_problem(known.served.post("/posterior", {"x": x}), 422)

    assert problem["errors"][0]["pointer"] == "/x/1"
    assert "not finite" in problem["detail"]


def test_a_tail_beyond_measure_is_null(known: Known) -> None:
    """Where one draw has all the weight k-hat is null; a bound has no flag."""
    x = [[1e5] * 5]

    found = known.served.post("/loglik", {"x": x, "n_samples": 4, "seed": 1}).json()

    assert found["pareto_k"] == [None]
    assert found["is_reliable"] is None
    assert np.isfinite(found["log_p_x"]).all()


def test_encode_does_not_wait_for_an_analysis(
    bernoulli: Served, checkpoints: Path
) -> None:
    """A long `/gap` is under way while `/encode`, long ones too, come and go."""
    x = [[0, 1] * 8] * 4000

    async def ask(served: Served) -> tuple[list[int], int, bool]:
        transport = httpx.ASGITransport(served.app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://test"
        ) as client:
            gap = {"x": x, "budget": 65_536, "target": 0}
            long = asyncio.ensure_future(client.post("/gap", json=gap))
            encoded = [
                (await client.post("/encode", json={"x": x[:n]})).status_code
                for n in (4000, 1, 4000, 1)
            ]
            second = await client.post("/gap", json={"x": x[:1]})
            was_done = long.done()
            long.cancel()
            return encoded, second.status_code, was_done

    results = []
    with Served(
        checkpoints / "bernoulli", max_analyses=1, max_analysis_rows=4000
    ) as served:

        async def keep() -> None:
            results.append(await ask(served))

        served.run(keep())

    # The second analysis is refused because the first is in hand.
    assert results == [([200] * 4, 429, False)]
