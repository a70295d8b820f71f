"""Marginals that are fitted to rows have the law of those rows."""

import numpy as np
import pytest
import torch
from torch.distributions import NegativeBinomial

from model.tables.families import log_negative_binomial
from model.tables.fitting import fit_marginals
from model.tables.schema import Codes, Kind, TableSchema
from tests.model.tables.tables import MIXED, fitted, levels, mixed_codes, number


def log_shares(kind: Kind, train: Codes, test: Codes, width: float = 1.0) -> Codes:
    """Return the log probabilities of test cells under a fitted marginal, (N,)."""
    marginals = fitted((number("x", kind, width),), train[:, None])
    found: Codes = marginals.x_of(test[:, None])[:, 3].astype(np.float64)
    return found


def test_zeros_and_a_continuous_part_are_both_found() -> None:
    """Near the entropy of the truth: 60 % zeros, else a normal to one decimal."""
    draw = np.random.default_rng(0)
    x = np.where(draw.random(6000) < 0.6, 0.0, np.round(draw.normal(50, 10, 6000), 1))

    found = log_shares("numeric", x[:3000], x[3000:], 0.1)

    entropy = -np.log(0.6) * 0.6 - 0.4 * np.log(0.4)
    entropy += 0.4 * (0.5 * np.log(2 * np.pi * np.e * 100) - np.log(0.1))
    assert -found.mean() == pytest.approx(entropy, abs=0.1)
    assert np.exp(found[x[3000:] == 0]).mean() == pytest.approx(0.6, abs=0.03)


@pytest.mark.parametrize(
    ("kind", "draws", "entropy"),
    [
        ("real", lambda d: d.normal(0, 30, 8000), 0.5 * np.log(2 * np.pi * np.e * 900)),
        ("student", lambda d: 9 * d.standard_t(4, 8000), np.log(9) + 1.6818),
        (
            "lognormal",
            lambda d: d.lognormal(5, 0.7, 8000),
            5 + np.log(0.7) + 0.5 * np.log(2 * np.pi * np.e),
        ),
    ],
)
def test_formulas_reach_the_entropy_of_their_law(
    kind: Kind, draws: object, entropy: float
) -> None:
    """In cells of width 1, where they are narrow."""
    assert callable(draws)
    x = np.round(draws(np.random.default_rng(1)))

    found = log_shares(kind, x[:4000], x[4000:])

    assert -found.mean() == pytest.approx(entropy, abs=0.05)


def test_counts_have_the_negative_binomial_of_torch() -> None:
    """The formula, and the fitted probabilities of counts of a known law."""
    draw = np.random.default_rng(2)
    r, mean = 2.0, 6.0
    x = draw.negative_binomial(r, r / (r + mean), 20_000).astype(float)
    k = np.arange(12.0)
    law = NegativeBinomial(r, torch.tensor(mean / (r + mean)))
    truth = law.log_prob(torch.from_numpy(k))  # type: ignore[no-untyped-call]

    np.testing.assert_allclose(log_negative_binomial(k, mean, r), truth, atol=1e-6)
    found = log_shares("count", x, k)
    np.testing.assert_allclose(np.exp(found), truth.exp(), atol=0.005)


def test_what_no_row_had_has_the_probability_of_one_row() -> None:
    """Beyond the range of n rows lies about 1 / n, and no cell in it is empty."""
    draw = np.random.default_rng(3)
    x = np.append(np.zeros(1000), np.round(draw.normal(1000, 50, 1000)))
    marginals = fitted((number("x"),), x[:, None])

    ends = torch.tensor([[-0.5], [x.max() + 0.5]]).double()
    below, above = marginals.curves.parts(ends)
    in_gap = marginals.x_of(np.array([[300.0]]))[0, 3]

    assert 0.3 / len(x) < below[0] + above[1] < 3 / len(x)
    assert in_gap == pytest.approx(np.log(0.0095 / np.ptp(x)), abs=0.1)


def test_shares_are_smoothed_counts() -> None:
    """Half a count is added for each category, and for an unseen one."""
    codes = np.array([0.0, 0, 1, np.nan])[:, None]

    found = fitted((levels("c", "categorical", "a", "b", "c"),), codes)

    wanted = np.array([2.5, 1.5, 0.5, 0.5]) / 5
    np.testing.assert_allclose(found.shares[0].numpy(), wanted)


def test_a_column_without_values_has_a_law() -> None:
    """Of any kind: training rows may miss it where validation has it."""
    columns = (
        *(number(kind, kind) for kind in ("numeric", "real", "student", "count")),
        number("l", "lognormal"),
        levels("o", "ordinal", "S", "M"),
        levels("b", "binary", 0, 1),
    )
    marginals = fitted(columns, np.full((5, 7), np.nan))

    x = marginals.x_of(np.array([[3.0, -2, 5, 1, 2, 1, 0]]))

    assert np.isfinite(x).all()


def test_the_fit_depends_on_rows_and_seed_alone() -> None:
    """Twice the same bits."""
    schema = TableSchema(columns=MIXED)

    first, second = (fit_marginals(schema, mixed_codes(), seed=7) for _ in range(2))

    assert first.schema == second.schema
    for one, other in zip(first[1:], second[1:], strict=True):
        assert np.array_equal(one, other)


def test_what_occurs_once_is_no_atom() -> None:
    """No value of a single row can be read from the stored knots."""
    draw = np.random.default_rng(0)
    x = np.unique(draw.integers(0, 10**9, 300)).astype(float)
    found = fit_marginals(TableSchema(columns=(number("x"),)), x[:, None], seed=0)

    knots = set(found.knots[0].tolist())

    assert not any(value + 0.5 in knots or value - 0.5 in knots for value in x[1:-1])
