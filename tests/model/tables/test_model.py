"""Models of tables: what is computed of them agrees with enumeration and with rows."""

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model import checkpoint
from model.checkpoint.manifest import ModelMetrics, Provenance
from model.elbo import elbo
from model.engine import Engine
from model.inference import analyses
from model.inference.effort import Effort
from model.tables.schema import Codes
from model.vae import VAE
from tests.model.tables.tables import MIXED, levels, mixed_codes, model

DISCRETE = (
    levels("c", "categorical", "a", "b", "c"),
    levels("b", "binary", False, True),
    levels("o", "ordinal", "S", "M", "L"),
)
SIZES = (4, 2, 3)  # with an unseen category


@pytest.fixture(scope="module")
def discrete() -> VAE:
    """Return a model of a table that can be enumerated, with J = 1."""
    draw = np.random.default_rng(0)
    codes = np.column_stack([draw.integers(0, n, 60) for n in (3, 2, 3)])
    return model(DISCRETE, codes.astype(float), latent_dim=1)


@pytest.fixture(scope="module")
def mixed() -> VAE:
    """Return a model of numbers and categories, with J = 2."""
    return model(MIXED, mixed_codes())


def every_row() -> Codes:
    """Return all rows of the discrete table."""
    return np.array(list(product(*map(range, SIZES))), np.float64)


@pytest.fixture(scope="module")
def truth(discrete: VAE) -> Codes:
    """Return log p(x) of all rows by quadrature over z, (N,)."""
    return log_p(discrete, every_row())


def x_of(vae: VAE, codes: Codes) -> Tensor:
    """Return rows in the model's units."""
    return torch.from_numpy(vae.in_model_units(codes))


def log_p(vae: VAE, codes: Codes) -> Codes:
    """Return log p(x) by quadrature over z, (N,)."""
    found: Codes = analyses.posteriors(vae, x_of(vae, codes)).log_p_x
    return found


@pytest.mark.slow("integrates for every row of a table")
def test_rows_of_a_discrete_table_sum_to_one(truth: Codes) -> None:
    """By enumeration, with z integrated out."""
    total = np.exp(truth).sum()

    assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.slow("integrates for every row of a table")
def test_a_missing_cell_sums_over_what_it_could_be(discrete: VAE, truth: Codes) -> None:
    """The density of a partial row is that of all its completions together."""
    rows = every_row()
    for part in ([1.0, np.nan, 2.0], [np.nan, 0.0, np.nan]):
        known = ~np.isnan(part)
        fits = (rows[:, known] == np.array(part)[known]).all(axis=1)

        [found] = log_p(discrete, np.array([part]))

        assert found == pytest.approx(math.log(np.exp(truth[fits]).sum()), abs=1e-5)


@pytest.mark.slow("estimates the evidence of many rows")
def test_the_elbo_is_below(discrete: VAE, truth: Codes) -> None:
    """Of every row, in expectation over its noise; the estimate of log p(x) is near."""
    x = x_of(discrete, every_row())
    eps = torch.randn(4000, len(x), 1, generator=torch.Generator().manual_seed(0))

    bound = elbo(discrete, x, eps=eps)
    found = analyses.evidence(
        discrete, x, Effort.adaptive(target=0.01, budget=20_000), seed=0
    )

    error = bound.per_draw.std(dim=0).numpy() / 4000**0.5
    assert (bound.bound.numpy() <= truth + 4 * error).all()
    assert found.is_reliable is not None
    near = np.abs(found.log_p_x - truth) < 4 * found.log_p_x_standard_error + 1e-3
    assert near[found.is_reliable].all()
    assert found.is_reliable.mean() > 0.5


@pytest.mark.slow("integrates for every row of a table")
def test_imputed_cells_have_the_conditionals_of_enumeration(
    discrete: VAE, truth: Codes
) -> None:
    """The most probable category, the probability of others, and frequencies."""
    rows, p = every_row(), np.exp(truth)
    seen = rows[:, 0] < 3  # an unseen category is not drawn
    given = np.array([[np.nan, 1.0, np.nan]])
    fits = (rows[:, 1] == 1) & seen
    observed = torch.from_numpy(~np.isnan(given))

    found = analyses.impute(
        discrete,
        x_of(discrete, given),
        observed,
        n_draws=2048,
        n_samples=4000,
        seed=0,
    )

    for j in (0, 2):
        n = 3
        share = np.bincount(rows[fits, j].astype(int), weights=p[fits], minlength=n)
        wanted = share / share.sum()
        drawn = np.bincount(found.samples[0, :, j].astype(int), minlength=n) / 4000
        np.testing.assert_allclose(drawn, wanted, atol=0.04)
    wanted = np.bincount(rows[fits, 0].astype(int), weights=p[fits])
    assert found.mean[0, 0] == wanted.argmax()
    other = 1 - wanted.max() / wanted.sum()
    assert found.variance[0, 0] == pytest.approx(other, abs=0.02)
    assert np.isnan(found.mean[0, 1])


@pytest.mark.slow("imputes again and again")
def test_values_that_are_not_observed_are_not_read(mixed: VAE) -> None:
    """A mask over huge values gives what missing cells give, bit for bit."""
    codes = np.array([[12.0, 3.5, 1.0, 0.0], [0.0, 20.0, 2.0, 1.0]])
    observed = np.array([[True, False, True, False], [False, True, False, True]])
    hidden = np.where(observed, codes, np.nan)
    x = x_of(mixed, codes)
    huge = torch.where(torch.from_numpy(np.tile(observed, (1, 5))), x, 1e30)
    nan = torch.where(torch.from_numpy(np.tile(observed, (1, 5))), x, torch.nan)
    mask = torch.from_numpy(observed)

    found = [
        analyses.impute(mixed, one, mask, n_draws=64, n_samples=2, seed=0)
        for one in (x_of(mixed, hidden), x, huge, nan)
    ]

    for other in found[1:]:
        assert np.array_equal(other.log_p_observed, found[0].log_p_observed)
        assert np.array_equal(other.samples, found[0].samples, equal_nan=True)


@pytest.mark.slow("runs every analysis")
def test_all_analyses_accept_partial_rows(mixed: VAE) -> None:
    """Their bounds are in order."""
    x = x_of(mixed, mixed_codes(n=3, seed=8))
    x = torch.cat([x, torch.zeros(1, x.shape[1])])  # nothing is known

    gaps = analyses.gaps(mixed, x, target=0.05, budget=4096, seed=0)
    bracketed = analyses.bracket(
        mixed, x, Effort.adaptive(target=0.05, budget=4096), seed=0
    )
    refined = analyses.refine(mixed, x, seed=0)

    for found in (gaps.log_p_x, bracketed.upper, refined.elbo_after):
        assert np.isfinite(found).all()
    slack = 5 * refined.elbo_after_standard_error + 1e-3
    assert (refined.elbo_after + slack >= refined.elbo_before).all()
    assert abs(gaps.log_p_x[-1]) < 0.02


def save(path: Path, vae: VAE) -> Path:
    """Write a checkpoint."""
    checkpoint.save(
        path,
        vae=vae,
        provenance=Provenance.here_and_now(
            seed=0, dataset="t", dataset_sha256=None, dataset_source="", command=()
        ),
        metrics=ModelMetrics(figures=()),
        card="",
    )
    return path


@pytest.fixture(scope="module")
def saved(mixed: VAE, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint of the mixed model."""
    return save(tmp_path_factory.mktemp("table") / "mixed", mixed)


@pytest.mark.slow("proves the rows of a table independent")
@pytest.mark.parametrize("start", [0, 2])
def test_a_table_may_have_columns_of_one_kind(start: int, tmp_path: Path) -> None:
    """Only numbers, or only categories: means, draws and imputed cells are codes."""
    stop = start + 2
    vae = model(MIXED[start:stop], mixed_codes()[:, start:stop])
    engine = Engine.load(
        save(tmp_path / "m", vae), device="cpu", backend="torch", n_threads=1
    )
    nothing = torch.zeros(1, 10)
    z = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)

    decoding = engine.decode(z)
    drawn = engine.draw(z, np.random.default_rng(1).random((9, 2), dtype=np.float32))
    found = analyses.impute(
        vae, nothing, nothing[:, :2] > 0, n_draws=64, n_samples=9, seed=0
    )

    for codes in (decoding.mean, drawn, found.samples[0]):
        assert codes.shape == (9, 2)
        vae.in_model_units(codes)  # they are codes
    assert found.log_p_observed == [0]


@pytest.mark.slow("proves the rows of a table independent")
@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_the_engine_computes_tables(saved: Path, mixed: VAE, backend: str) -> None:
    """In either library: codes in and out, rows independent of each other."""
    engine = Engine.load(saved, device="cpu", backend=backend, n_threads=1)  # type: ignore[arg-type]  # of a list
    codes = mixed_codes(n=9, seed=4)
    x = engine.in_model_units(codes)

    encoding = engine.encode(x)
    decoding = engine.decode(encoding.mu)
    noise = np.random.default_rng(0).random((9, 4), dtype=np.float32)
    drawn = engine.draw(encoding.mu, noise)
    scores = engine.score(x, np.zeros((9, 2, 2), np.float32))

    assert engine.backend == backend
    assert engine.batch_invariant
    want = mixed.encode(torch.from_numpy(x)).mu.numpy()
    np.testing.assert_allclose(encoding.mu, want, atol=1e-5)
    assert decoding.log_var is None
    for rows in (decoding.mean, drawn):
        assert rows.dtype == np.float64
        assert rows.shape == (9, 4)
        engine.in_model_units(rows)  # they are codes
    assert np.array_equal(drawn[:, 0], np.round(drawn[:, 0]))
    assert (scores.log_likelihood < 0).all()
    assert engine.log_jacobian is None


def test_a_checkpoint_of_a_table_is_read_as_it_was_written(
    saved: Path, mixed: VAE
) -> None:
    """Columns, marginals and weights."""
    loaded = checkpoint.load(saved)

    assert loaded.config == mixed.config
    assert loaded.config.table is not None
    assert loaded.config.table.names == ("amount", "size", "group", "flag")
    assert loaded.vae.marginals is not None
    assert mixed.marginals is not None
    assert torch.equal(loaded.vae.marginals.knots, mixed.marginals.knots)
    codes = mixed_codes(n=5)
    assert np.array_equal(loaded.vae.in_model_units(codes), mixed.in_model_units(codes))
