"""One seed for every call: no call's noise is that of another whose answer it gets."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model import checkpoint
from model.checkpoint.held_out import Calibration, Scores, ScoreSettings
from tests.app import linear_gaussian
from tests.app.served import Served
from tests.conftest import save_tiny
from tests.model.ppca import best_ppca

N, SEED, OTHER = 128, 7, 8
MASK = [1, 0, 1, 0, 1]
MISSING = [1, 3]

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


@pytest.fixture(scope="module", params=[sampled_means, sampled, imputed])
def x(request: pytest.FixtureRequest, served: Served) -> Rows:
    """Return rows that the service has made."""
    made: Rows = request.param(served)
    return made


ESTIMATES: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("/elbo", ("elbo", "log_likelihood"), {}),
    ("/elbo", ("elbo",), {"n_samples": 3}),
    ("/loglik", ("log_p_x",), {"n_samples": 1}),
    ("/loglik", ("log_p_x",), {"target": 1.0, "budget": 256}),
    ("/gap", ("total_gap", "amortization_gap"), {"target": 1.0, "budget": 256}),
    ("/anomaly", ("negative_elbo",), {}),
    # Not as many draws as made the rows, or it would be the same request again.
    ("/impute", ("log_p_observed", "samples"), {"mask": [MASK] * N, "n_draws": 128}),
]


@pytest.mark.slow("computes analyses")
@pytest.mark.parametrize(("url", "names", "options"), ESTIMATES)
def test_no_estimate_of_rows_depends_on_what_made_them(
    served: Served,
    x: Rows,
    url: str,
    names: tuple[str, ...],
    options: dict[str, Any],
) -> None:
    """With the seed that the rows were made with, and with another, means agree."""
    own, other = (
        ask(served, url, x=x.tolist(), seed=seed, **options) for seed in (SEED, OTHER)
    )

    for name in names:
        difference = figures(own[name], x) - figures(other[name], x)
        # Five standard errors; an estimate without noise agrees to rounding.
        error = difference.std(ddof=1) / N**0.5
        assert abs(difference.mean()) < 5 * error + 1e-4, name


def figures(found: list[Any], x: Rows) -> NDArray[np.float64]:
    """Return one figure a row: as it is, or how far a draw is from the missing x."""
    values = np.array(found)
    if values.ndim == 1:
        return values
    squares = np.square(values[:, 0, MISSING] - x[:, MISSING])
    return np.asarray(squares.sum(axis=1))
