"""Served under a learned prior, every call answers what the model says under it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load

from model.elbo import elbo
from model.engine import Engine
from model.engine.backends import Backend
from model.inference import analyses
from model.inference.effort import Effort
from model.noise import Stream, standard_normal
from model.prior import GaussianMixture, draw
from tests.app.calls.test_elbo import assert_equal_in_parts
from tests.app.linear_gaussian import build
from tests.app.served import Served
from tests.model.mixture_pca import MixturePca, mixture_pca
from tests.model.ppca import D
from tests.tiny import save_tiny, tiny_config, tiny_vae
from vae_client import ElboResult
from vae_client.http_messages import HttpRequest, HttpResponse
from vae_client.readers import tensors_reader

RNG = np.random.default_rng(3)
PRIORS: dict[str, dict[str, Any]] = {
    "vamp": {"kind": "vamp", "n_components": 6},
    "mixture": {"kind": "gaussian_mixture", "n_components": 5},
}


def saved(root: Path, name: str) -> Path:
    """Write a Bernoulli model of two latent dimensions with such a prior."""
    config = tiny_config("bernoulli", data_shape=(4, 4), latent_dim=2)
    document = {**config.model_dump(), "prior": PRIORS[name]}
    vae = tiny_vae(type(config).model_validate(document))
    for name_, weights in vae.named_parameters():
        if name_ in ("encoder.mu.weight", "prior.mean"):
            weights.mul_(3)
    return save_tiny(root / name, vae)


@pytest.fixture(scope="module", params=list(PRIORS))
def learned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Serve a model with a learned prior."""
    path = saved(tmp_path_factory.mktemp("learned"), request.param)
    with Served(path) as served:
        yield served


def prior(served: Served) -> GaussianMixture:
    """Return the prior of the served model."""
    p_z = served.checkpoint.vae.p_z
    assert isinstance(p_z, GaussianMixture)
    return p_z


def binary(n: int) -> np.ndarray:
    """Return rows of zeros and ones."""
    return (RNG.random((n, 16)) > 0.5).astype(np.float32)


def test_rows_are_scored_a_few_at_a_time(
    learned: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here every draw has a KL of its own."""
    assert_equal_in_parts(learned, 0, monkeypatch)


def test_samples_are_draws_of_the_learned_prior(learned: Served) -> None:
    """By seed and row; the temperature scales the components, not their means."""
    p_z = prior(learned)

    few, many = (
        learned.post("/sample", {"n": n, "seed": 7}).json()["z"] for n in (3, 200)
    )
    cold = learned.post("/sample", {"n": 50, "seed": 7, "temperature": 0}).json()["z"]

    np.testing.assert_array_equal(np.float32(many), draw(p_z, 200, seed=7))
    assert few == many[:3]
    apart = torch.tensor(cold)[:, None] - p_z.mu  # (50, C, J)
    assert (apart.abs().amax(dim=2).amin(dim=1) < 1e-6).all()


@pytest.mark.parametrize("n_samples", [1, 7, 150])
def test_the_elbo_is_the_models(learned: Served, n_samples: int) -> None:
    """With its noise, in one tile of draws or several; the KL has no terms."""
    x = binary(3)
    asked = {"x": x.tolist(), "n_samples": n_samples, "seed": 11}

    answer = learned.post("/elbo", asked).json()

    noise = standard_normal((3, n_samples, 2), seed=11, stream=Stream.LATENT)
    eps = torch.from_numpy(np.ascontiguousarray(noise.swapaxes(0, 1)))
    wanted = elbo(learned.checkpoint.vae, torch.from_numpy(x), eps=eps)
    np.testing.assert_allclose(answer["elbo"], wanted.bound, rtol=1e-4)
    np.testing.assert_allclose(answer["kl"], wanted.kl, rtol=1e-4, atol=1e-5)
    assert "kl_per_dim" not in answer
    # Which needs no more than the rows to be the same bits.
    alone = learned.post("/elbo", {**asked, "x": x[:1].tolist()}).json()
    assert alone["elbo"] == answer["elbo"][:1]
    assert alone["kl"] == answer["kl"][:1]


def test_the_error_of_the_elbo_includes_that_of_the_kl(learned: Served) -> None:
    """It is the spread of log p(x|z) - KL over the draws, in several tiles too."""
    x = binary(3)
    asked = {"x": x.tolist(), "n_samples": 150, "seed": 11}

    answer = learned.post("/elbo", asked).json()

    noise = standard_normal((3, 150, 2), seed=11, stream=Stream.LATENT)
    vae, data = learned.checkpoint.vae, torch.from_numpy(x)
    each = [
        elbo(vae, data, eps=torch.from_numpy(np.array(noise[None, :, k]))).bound.numpy()
        for k in range(150)
    ]
    wanted = np.std(each, axis=0, ddof=1) / np.sqrt(150)
    np.testing.assert_allclose(answer["elbo_standard_error"], wanted, rtol=1e-3)


@pytest.mark.slow("computes many estimates")
def test_the_error_of_the_elbo_under_a_learned_prior_is_calibrated(
    tmp_path: Path,
) -> None:
    """Of 250 estimates for each of 4 rows, RMS(error / SE) is near 1."""
    rows = np.random.default_rng(1).integers(0, 2, (4, 16))
    x = np.tile(rows, (250, 1)).tolist()  # the noise of a row depends on its position

    with Served(saved(tmp_path, "vamp")) as served:
        answer = served.post("/elbo", {"x": x, "n_samples": 256, "seed": 3}).json()

    bound, error = (
        np.array(answer[name]).reshape(250, 4)
        for name in ("elbo", "elbo_standard_error")
    )
    ratio = (bound - bound.mean(axis=0)) / error
    assert 0.9 < np.sqrt(np.mean(ratio**2)) < 1.1


def test_the_document_and_the_client_know_that_the_kl_has_no_terms(
    learned: Served,
) -> None:
    """Neither promises kl_per_dim; the client returns None."""
    schemas = learned.get("/openapi.json").json()["components"]["schemas"]
    headers = {"accept": "application/vnd.safetensors"}
    body = {"x": binary(2).tolist(), "seed": 1}

    answer = learned.post("/elbo", body, headers=headers)

    assert "kl_per_dim" not in schemas["ElboResponse"]["properties"]
    assert load(answer.content).keys() == {"elbo", "log_likelihood", "kl"}
    request = HttpRequest("POST", "/elbo", n_rows=2)
    response = HttpResponse(answer.status_code, dict(answer.headers), answer.content)
    assert tensors_reader(ElboResult)(request, response).kl_per_dim is None


def test_a_traversal_goes_through_the_learned_priors_quantiles(learned: Served) -> None:
    """At the levels that it answers, in every dimension."""
    answer = learned.post("/traverse", {"z": [[0.5, -0.5]], "n": 4}).json()

    levels = torch.tensor(answer["levels"]).double()
    quantiles = prior(learned).quantiles(levels)
    for dim, path in enumerate(answer["z"]):
        found = torch.tensor(path)[:, dim]
        torch.testing.assert_close(found.double(), quantiles[dim], rtol=1e-5, atol=1e-6)


def test_the_model_tells_its_prior(learned: Served) -> None:
    """Kind, components, moments and words; theta counts what is learned of it."""
    card = learned.get("/model").json()

    vae = learned.checkpoint.vae
    moments = vae.p_z.moments(torch.device("cpu"))
    found = card["prior"]
    assert found["kind"] == vae.config.prior.kind
    assert found["n_components"] == vae.config.n_components
    np.testing.assert_allclose(found["mean"], moments.mu, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found["standard_deviation"], moments.sigma, rtol=1e-6)
    assert ("carries φ" in found["what"]) == (found["kind"] == "vamp")
    parts = (*vae.decoder.parameters(), *vae.prior.parameters())
    assert card["theta"]["n_parameters"] == sum(part.numel() for part in parts)


def test_a_standard_normal_prior_says_so(bernoulli: Served) -> None:
    """Means 0, standard deviations 1, one component."""
    found = bernoulli.get("/model").json()["prior"]

    assert found["kind"] == "standard_normal"
    assert found["what"] == "p(z) = N(z; 0, I), a standard normal."
    assert (found["n_components"], found["mean"]) == (1, [0.0, 0.0, 0.0])
    assert found["standard_deviation"] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("path", ["loglik", "refine", "gap", "posterior", "impute"])
def test_every_analysis_has_an_example_that_runs(learned: Served, path: str) -> None:
    """As the API documentation shows it, made of this model."""
    document = learned.get("/openapi.json").json()
    media = document["paths"][f"/{path}"]["post"]["requestBody"]["content"]
    (example,) = media["application/json"]["examples"].values()

    answer = learned.post(f"/{path}", example["value"])

    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def linear_mixture(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Served, MixturePca]]:
    """Serve a linear-Gaussian decoder under a mixture, known in closed form."""

    def of(*, latent_dim: int, prior: dict[str, Any], **_: object) -> Any:
        return build(latent_dim=latent_dim, prior=prior)

    model = mixture_pca(of, 2)
    path = tmp_path_factory.mktemp("linear") / "mixture"
    save_tiny(path, model.vae.float())
    with Served(path) as served:
        vae = served.checkpoint.vae
        yield served, MixturePca(vae.double(), model.x.float().double())


@pytest.mark.slow("computes evidence over HTTP")
def test_log_p_x_over_http_is_that_of_the_closed_form(
    linear_mixture: tuple[Served, MixturePca],
) -> None:
    """By importance sampling and by quadrature; with masks, of what is known."""
    served, model = linear_mixture
    x = model.x.tolist()

    loglik = served.post("/loglik", {"x": x, "seed": 1}).json()
    exact = served.post("/posterior", {"x": x}).json()
    mask = (np.arange(D) < 3).astype(int)[None].repeat(len(x), axis=0)
    asked = {"x": x, "mask": mask.tolist(), "seed": 1, "n_draws": 4000}
    imputed = served.post("/impute", asked).json()

    log_p_x = model.log_p_x.numpy()
    np.testing.assert_allclose(exact["log_p_x"], log_p_x, atol=1e-4)
    off = np.abs(loglik["log_p_x"] - log_p_x)
    assert (off < 4 * np.array(loglik["log_p_x_standard_error"]) + 0.01).all()
    known = model.log_prob(range(3), model.x[:, :3]).logsumexp(dim=1)
    np.testing.assert_allclose(imputed["log_p_observed"], known, atol=0.1)


@pytest.mark.parametrize("backend", ["torch", "onnx"])
@pytest.mark.parametrize("name", list(PRIORS))
def test_both_backends_prove_the_rows_independent(
    tmp_path: Path, name: str, backend: Backend
) -> None:
    """And a row's terms of the ELBO have the same bits in any company."""
    path = saved(tmp_path, name)
    engine = Engine.load(path, device="cpu", backend=backend, n_threads=1)
    x, eps = binary(200), RNG.standard_normal((200, 3, 2), dtype=np.float32)

    whole = engine.score(x, eps)

    assert engine.batch_invariant
    assert not engine.kl_adds_up
    for some in (slice(0, 1), slice(3, 12), slice(150, 200)):
        part = engine.score(x[some], eps[some])
        np.testing.assert_array_equal(part.kl, whole.kl[some])
        np.testing.assert_array_equal(part.log_likelihood, whole.log_likelihood[some])


def test_evaluation_and_service_agree(learned: Served) -> None:
    """`analyses` of the checkpoint give the service's own numbers."""
    x = binary(2)

    found = learned.post(
        "/loglik", {"x": x.tolist(), "n_samples": 20, "seed": 5}
    ).json()

    vae = learned.checkpoint.vae
    wanted = analyses.evidence(vae, torch.from_numpy(x), Effort.fixed(20), seed=5)
    np.testing.assert_array_equal(found["log_p_x"], wanted.log_p_x)
