"""The baselines are what scikit-learn and textbooks say they are."""

import numpy as np
import pytest
from numpy.typing import NDArray

from model.train.baselines import LinearGaussian, best_start, fit_baselines
from tests import normal

FLOOR = 0.01


def rows(n: int, d: int, *, k: int = 2, seed: int = 0) -> NDArray[np.float64]:
    """Return rows of a factor model, standardized."""
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((n, k)) @ draw.standard_normal((k, d))
    x += draw.standard_normal((n, d)) * draw.uniform(0.3, 1.0, d)
    found: NDArray[np.float64] = (x - x.mean(axis=0)) / x.std(axis=0)
    return found


@pytest.mark.parametrize(("d", "k"), [(1, 1), (2, 2), (5, 2), (30, 4)])
def test_the_density_is_that_of_its_covariance(d: int, k: int) -> None:
    """Woodbury's identity gives what the D x D matrix does."""
    draw = np.random.default_rng(1)
    law = LinearGaussian(
        "law", draw.normal(size=d), draw.normal(size=(d, k)), draw.uniform(0.1, 2, d)
    )
    u = draw.normal(size=(7, d))

    found = law.log_prob(u)

    covariance = law.loadings @ law.loadings.T + np.diag(law.variance)
    wanted = normal.log_density(u, law.mean, covariance)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


@pytest.mark.parametrize("d", [2, 6, 20])
def test_the_full_gaussian_is_the_maximum_likelihood_fit(d: int) -> None:
    """Written as factors and noise it is still N(mean, covariance), to 1e-8 nats."""
    x = rows(300, d)
    x[:, 0] = x[:, 1] + 0.05 * x[:, 0]  # nearly collinear

    fitted = fit_baselines(x, x[:50], floor=FLOOR, max_factors=4)

    assert fitted.full_gaussian is not None
    wanted = normal.log_density(x, x.mean(axis=0), np.cov(x.T, bias=True))
    np.testing.assert_allclose(fitted.full_gaussian.log_prob(x), wanted, atol=1e-8)
    assert fitted.full_gaussian.n_factors == d - 1


@pytest.mark.slow("imports scikit-learn")
@pytest.mark.parametrize(("d", "k"), [(8, 1), (8, 3), (100, 2)])
def test_factor_analysis_is_that_of_scikit_learn(d: int, k: int) -> None:
    """The same likelihood to 1e-3 nats a row, with as many factors."""
    from sklearn.decomposition import FactorAnalysis  # noqa: PLC0415  takes a second

    x = rows(400, d, k=3)
    fitted = fit_baselines(x, x, floor=FLOOR, max_factors=k)

    (law,) = (
        one for one in fitted.starts if one.name.startswith(f"factor analysis, {k} ")
    )

    theirs = FactorAnalysis(k, tol=1e-8, max_iter=10_000, svd_method="lapack").fit(x)
    assert law.log_prob(x).mean() == pytest.approx(theirs.score(x), abs=1e-3)
    assert law.n_factors == k


def test_validation_chooses_the_number_of_factors() -> None:
    """With three true factors, three are found from 2,000 rows."""
    x = rows(2000, 12, k=3)

    fitted = fit_baselines(x[:1500], x[1500:], floor=FLOOR, max_factors=8)

    assert fitted.factor_analysis.name == "factor analysis, 3 factors"


def test_a_start_has_no_more_factors_than_fit() -> None:
    """A full Gaussian of 12 columns needs 11, so with 2 it is no choice."""
    x = rows(200, 12, k=5)
    fitted = fit_baselines(x, x, floor=FLOOR, max_factors=8)

    few = best_start(fitted.starts, x, max_factors=2)
    many = best_start(fitted.starts, x, max_factors=11)

    assert few.n_factors == 2
    assert many.name == "full Gaussian"


def test_too_few_rows_have_no_full_gaussian() -> None:
    """With as many columns as rows its covariance is singular."""
    x = rows(20, 20)

    fitted = fit_baselines(x, x, floor=FLOOR, max_factors=3)

    assert fitted.full_gaussian is None
    assert np.isfinite(fitted.factor_analysis.log_prob(x)).all()


def test_a_constant_column_has_the_noise_of_the_floor() -> None:
    """It is no reason to fail."""
    x = rows(100, 4)
    x[:, 2] = 0

    fitted = fit_baselines(x, x, floor=FLOOR, max_factors=3)

    for law in (*fitted.starts, *fitted.all):
        assert law.variance[2] >= FLOOR**2 * 0.999
        assert np.isfinite(law.log_prob(x)).all()
