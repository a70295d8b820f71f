"""The distributions of cells, against the probabilities of every cell."""

import numpy as np
import torch

from model.tables.likelihood import Table
from model.tables.parameters import QUANTILES, cell_distributions, level_names
from tests.model.tables.tables import fitted, levels, number

COLUMNS = (
    levels("group", "categorical", "a", "b", "c"),
    number("count", "count"),
    levels("rank", "ordinal", "low", "mid", "high"),
    levels("flag", "binary", False, True),
    number("size", resolution=0.5),
)
NUMBERS = {1: np.arange(0.0, 400), 2: np.arange(3.0), 4: np.arange(-400, 400) / 2}
CHOICES = {0: 3, 3: 2}


def codes(n: int = 200) -> np.ndarray:
    """Return rows of codes, (n, C)."""
    draw = np.random.default_rng(0)
    columns = [
        draw.integers(0, 3, n),
        draw.poisson(6, n),
        draw.integers(0, 3, n),
        draw.integers(0, 2, n),
        draw.normal(3, 4, n).round(),
    ]
    return np.stack(columns, axis=1).astype(np.float64)


def test_they_are_those_of_the_cells() -> None:
    """Quantiles, moments and probabilities, from the probability of every cell."""
    marginals = fitted(COLUMNS, codes())
    generator = torch.Generator().manual_seed(0)
    p_x = Table(0.5 * torch.randn(4, 11, generator=generator).double(), marginals)

    found = cell_distributions(p_x)

    def shares(column: int, every: np.ndarray) -> np.ndarray:
        rows = np.full((len(every), len(COLUMNS)), np.nan)
        rows[:, column] = every
        x = torch.from_numpy(marginals.x_of(rows)).double()[:, None]
        return p_x.log_prob_per_dim(x)[..., column].exp().numpy().T

    for column, every in NUMBERS.items():
        p = shares(column, every)
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-3)  # the far tails
        below = p.cumsum(axis=1)
        for k, level in enumerate(QUANTILES):
            code = found.quantiles[:, k, column].numpy()
            at = np.searchsorted(every, code)
            row = np.arange(len(p))
            assert (every[at] == code).all()
            assert (below[row, at] >= level - 1e-3).all()
            assert (below[row, at] - p[row, at] <= level + 1e-3).all()
    start = 0
    for column, n in CHOICES.items():
        p = shares(column, np.arange(float(n)))
        p /= p.sum(axis=1, keepdims=True)
        got = found.probabilities[:, start : start + n].numpy()
        start += n
        np.testing.assert_allclose(got, p, rtol=1e-5)
        assert (found.mean[:, column].numpy() == p.argmax(axis=1)).all()
        np.testing.assert_allclose(found.variance[:, column], 1 - p.max(axis=1))
        assert found.quantiles[..., column].isnan().all()
    assert start == found.probabilities.shape[1]
    torch.testing.assert_close(found.mean, p_x.mean, rtol=0, atol=0)
    torch.testing.assert_close(found.variance, p_x.variance, rtol=0, atol=0)
    names = ("group=a", "group=b", "group=c", "flag=false", "flag=true")
    assert level_names(marginals.layout.schema) == names
