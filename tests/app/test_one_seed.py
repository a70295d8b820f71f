"""One seed for every call: no call's noise is that of another whose answer it gets."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import MultivariateNormal

from model import checkpoint
from model.checkpoint.held_out import Calibration, Scores, ScoreSettings
from tests.app import linear_gaussian
from tests.app.served import Served
from tests.model.ppca import VARIANCE, Ppca, best_ppca, bias
from tests.tiny import save_tiny

N, SEED, OTHER = 128, 7, 8
MASK = [1, 0, 1, 0, 1]
KNOWN, MISSING = [0, 2, 4], [1, 3]

Rows = NDArray[np.float64]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a linear-Gaussian model with the best q(z|x), ready for every call."""
    model = best_ppca(linear_gaussian.build, 2)
    settings = ScoreSettings(
        split="validation", binarization="none", n_samples=1, noise_seed=0
    )
    scores = {"negative_elbo": Scores(np.linspace(5, 20, 9), settings)}
    path = save_tiny(
        tmp_path_factory.mktemp("one") / "linear",
        model.vae.float(),
        {checkpoint.CALIBRATION: Calibration(scores, None).to_bytes()},
    )
    with Served(path, max_rows=N) as served:
        yield served


def ask(served: Served, url: str, **document: Any) -> dict[str, Any]:
    """Return an answer, or fail with what the service says."""
    response = served.post(url, document)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def sampled_means(served: Served) -> Rows:
    """Return E[x|z] of z from the prior."""
    return np.array(ask(served, "/sample", n=N, seed=SEED)["x"])


def sampled(served: Served) -> Rows:
    """Return draws of x."""
    return np.array(ask(served, "/sample", n=N, seed=SEED, draw="sample")["x"])


def imputed(served: Served) -> Rows:
    """Return rows of which two values in five are imputed, from far too few draws."""
    x = ask(served, "/sample", n=N, seed=1000, draw="sample")["x"]
    found = ask(served, "/impute", x=x, mask=[MASK] * N, n_draws=10, seed=SEED)
    return np.array(found["samples"])[:, 0]


class Made(NamedTuple):
    """Rows, and the call that made them."""

    x: Rows
    url: str


@pytest.fixture(scope="module", params=[sampled_means, sampled, imputed])
def made(request: pytest.FixtureRequest, served: Served) -> Made:
    """Return rows that the service has made."""
    url = "/impute" if request.param is imputed else "/sample"
    return Made(request.param(served), url)


Names = tuple[str, ...]
SHORT = {"target": 1.0, "budget": 256}
ESTIMATES: list[tuple[str, Names, dict[str, Any]]] = [
    ("/elbo", ("elbo", "log_likelihood"), {}),
    ("/elbo", ("elbo",), {"n_samples": 3}),
    ("/loglik", ("log_p_x",), {"n_samples": 1}),
    # /loglik estimates the same log p(x), see below.
    ("/gap", ("log_p_x", "total_gap", "amortization_gap"), SHORT),
    ("/anomaly", ("negative_elbo",), {}),
    ("/impute", ("log_p_observed", "samples"), {"mask": [MASK] * N, "n_draws": 128}),
]


@pytest.mark.slow("computes analyses")
@pytest.mark.parametrize(("url", "names", "options"), ESTIMATES)
def test_no_estimate_of_rows_depends_on_what_made_them(
    served: Served, made: Made, url: str, names: Names, options: dict[str, Any]
) -> None:
    """With the seed that the rows were made with, the errors have mean 0."""
    # With one seed, a call has the same noise again.
    seed = OTHER if url == made.url else SEED
    found = ask(served, url, x=made.x.tolist(), seed=seed, **options)

    right = exact(served, made.x, n_samples=options.get("n_samples"))
    for name in names:
        error = figures(found[name], made.x) - right[name]
        # Five standard errors; an estimate without noise is right to rounding.
        assert abs(error.mean()) < 5 * error.std(ddof=1) / N**0.5 + 1e-4, name


@pytest.mark.slow("makes rows in every way")
def test_the_evidence_has_the_noise_of_the_gap(served: Served, made: Made) -> None:
    """With one seed both estimate the same log p(x), to the bit."""
    options = {"x": made.x[:4].tolist(), "seed": SEED, **SHORT}

    loglik, gap = (ask(served, url, **options) for url in ("/loglik", "/gap"))

    assert loglik["log_p_x"] == gap["log_p_x"]


def figures(found: list[Any], x: Rows) -> Rows:
    """Return one figure a row: as it is, or how far a draw is from the missing x."""
    values = np.array(found)
    if values.ndim == 1:
        return values
    squares = np.square(values[:, 0, MISSING] - x[:, MISSING])
    return np.asarray(squares.sum(axis=1))


def exact(served: Served, x: Rows, *, n_samples: int | None) -> dict[str, Rows]:
    """Return the expectation of each figure of the rows, in closed form."""
    model = Ppca(served.checkpoint.vae.double(), torch.from_numpy(x))
    elbo = model.log_p_x - model.gap
    log_p_observed, squares = imputing(model)
    return {
        "elbo": elbo.numpy(),
        "log_likelihood": model.log_likelihood.numpy(),
        "negative_elbo": -elbo.numpy(),
        # The bound of one draw is the ELBO.
        "log_p_x": (elbo if n_samples == 1 else model.log_p_x).numpy(),
        "total_gap": model.gap.numpy(),
        "amortization_gap": np.zeros(N),
        "log_p_observed": log_p_observed.numpy(),
        "samples": squares.numpy(),
    }


def imputing(model: Ppca) -> tuple[Tensor, Tensor]:
    """Return log p(x_o), and how far draws of the missing x are from it, squared."""
    covariance = model.w @ model.w.T + VARIANCE * torch.eye(len(model.w)).double()
    of_known = covariance[KNOWN][:, KNOWN]
    slope = torch.linalg.solve(of_known, covariance[KNOWN][:, MISSING])
    rest = covariance[MISSING][:, MISSING] - covariance[MISSING][:, KNOWN] @ slope
    off = model.r[:, MISSING] - model.r[:, KNOWN] @ slope
    p_known = MultivariateNormal(bias(model.vae.decoder.mu)[KNOWN], of_known)
    log_p_known: Tensor = p_known.log_prob(model.x[:, KNOWN])  # type: ignore[no-untyped-call]  # of torch
    return log_p_known, off.square().sum(dim=1) + rest.trace()
