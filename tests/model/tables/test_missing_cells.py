"""Which cells of a row are missing: probabilities, draws, and what is refused."""

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from model.config import Config
from model.tables.likelihood import Table
from model.tables.missing_cells import MissingCells
from model.tables.missing_sets import MissingSet
from model.tables.parameters import cell_distributions
from model.tables.schema import TableSchema
from tests.model.tables.tables import config, fitted, levels, number

COLUMNS = (
    levels("group", "categorical", "a", "b", "c"),
    number("size", resolution=0.5),
    number("weight"),
    levels("flag", "binary", False, True),
    number("age", "count"),
    levels("rank", "ordinal", "low", "mid", "high"),
)
SETS = (
    MissingSet(
        columns=("weight", "flag"),
        patterns=((), ("weight", "flag"), ("flag",)),
        given="size",
        cuts=(-1.0, 0.0, 2.5),
    ),
    MissingSet(columns=("age",), patterns=((), ("age",)), given="group"),
    MissingSet(columns=("rank",), patterns=(("rank",), ())),
)
N_DRAWS = 40_000


def p_x(n: int = 3) -> Table:
    """Return p(x|z) of a few rows, with random parameters and shares."""
    draw = np.random.default_rng(0)
    codes = np.stack(
        [
            draw.integers(0, 3, 200),
            draw.normal(1, 2, 200).round(),
            draw.normal(9, 3, 200).round(),
            draw.integers(0, 2, 200),
            draw.poisson(4, 200),
            draw.integers(0, 3, 200),
        ],
        axis=1,
    ).astype(np.float64)
    generator = torch.Generator().manual_seed(0)
    cells = MissingCells(TableSchema(columns=COLUMNS), SETS, 4)
    with torch.no_grad():
        cells.log_share.normal_(generator=generator)
    eta = torch.randn(n, cells.layout.n_outputs, generator=generator)
    parameters = 0.5 * torch.randn(n, 13, generator=generator)
    return Table(parameters, fitted(COLUMNS, codes), cells.of(eta))


@pytest.mark.slow("draws many rows")
def test_draws_have_the_probabilities() -> None:
    """Of every cell, whatever its column is given, and of the patterns of a set."""
    wanted = cell_distributions(p_x()).missing.numpy()

    repeated = p_x()
    assert repeated.missing is not None
    many = Table(
        repeated.parameters.repeat(N_DRAWS, 1),
        repeated.marginals,
        repeated.missing.cells.of(repeated.missing.eta.repeat(N_DRAWS, 1)),
    )
    generator = torch.Generator().manual_seed(1)
    codes = many.sample(torch.rand(len(many.parameters), 6, generator=generator))
    found = many.with_gaps(codes, torch.rand(len(codes), 3, generator=generator))

    gaps = found.isnan().reshape(N_DRAWS, 3, 6).numpy()
    error = np.sqrt(np.maximum(wanted * (1 - wanted), 1e-12) / N_DRAWS)
    assert (np.abs(gaps.mean(axis=0) - wanted) < 4.5 * error).all()
    assert (wanted[:, :2] == 0).all()
    assert ((wanted[:, 2:] > 0) & (wanted[:, 2:] < 1)).all()
    # Weight is missing only where flag is.
    assert not (gaps[..., 2] & ~gaps[..., 3]).any()
    assert torch.equal(torch.where(found.isnan(), 0, codes), found.nan_to_num(0))


def test_a_group_decides_where_its_shares_do() -> None:
    """Cells are missing for sizes up to 0, and known for larger ones."""
    found = p_x()
    assert found.missing is not None
    cells = found.missing.cells
    never, always = torch.tensor([0.0, -60.0, -60.0]), torch.tensor([-60.0, 0.0, -60.0])
    cells.log_share[0] = torch.stack([always, always, never, never])
    noise = torch.rand(500, 6, generator=torch.Generator().manual_seed(1))
    one = Table(
        found.parameters[:1].expand(500, -1),
        found.marginals,
        cells.of(torch.zeros(500, cells.layout.n_outputs)),
    )
    codes = one.sample(noise)

    drawn = one.with_gaps(codes, torch.rand(500, 3))

    assert torch.equal(drawn[:, 2].isnan(), codes[:, 1] <= 0)
    assert 0 < drawn[:, 2].isnan().double().mean() < 1
    share = cell_distributions(one).missing[0, 2]
    assert share == pytest.approx(float(drawn[:, 2].isnan().double().mean()), abs=0.1)


def test_it_is_no_part_of_the_log_probability() -> None:
    """Nor of means, variances, quantiles and draws of complete rows."""
    with_head = p_x()
    without = Table(with_head.parameters, with_head.marginals)
    codes = without.sample(torch.full((3, 6), 0.3))
    x = torch.from_numpy(without.marginals.x_of(codes.numpy()))

    one, other = cell_distributions(with_head), cell_distributions(without)

    assert torch.equal(with_head.log_prob(x), without.log_prob(x))
    assert torch.equal(with_head.sample(torch.full((3, 6), 0.3)), codes)
    assert torch.equal(without.with_gaps(codes, torch.zeros(3, 0)), codes)
    assert other.missing.shape == (3, 0)
    for name in ("mean", "variance", "quantiles", "probabilities"):
        torch.testing.assert_close(
            getattr(one, name), getattr(other, name), rtol=0, atol=0, equal_nan=True
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"columns": ("absent",), "patterns": (("absent",), ())}, "no column 'absent'"),
        ({"columns": ("age", "age")}, "distinct columns"),
        ({"columns": ("age", "flag")}, "patterns of all"),
        ({"patterns": (("age",), ("age",))}, "distinct patterns"),
        ({"given": "size"}, "does not fit cuts"),
        ({"given": "group", "cuts": (1.0,)}, "does not fit cuts"),
        ({"given": "size", "cuts": (1.0, 0.0)}, "ascending cuts"),
        ({"given": "age", "cuts": (1.0,)}, "can be missing itself"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    change: dict[str, Any], words: str
) -> None:
    """The message says what was expected."""
    one: dict[str, Any] = {"columns": ("age",), "patterns": ((), ("age",))} | change
    document = dict(config(TableSchema(columns=COLUMNS), latent_dim=2))

    with pytest.raises(ValidationError, match=words):
        Config.model_validate({**document, "missing": (one,)})


def test_two_sets_have_no_column_in_common() -> None:
    """And there are none without a table."""
    document = dict(config(TableSchema(columns=COLUMNS), latent_dim=2))

    with pytest.raises(ValidationError, match="each column in one set"):
        Config.model_validate({**document, "missing": (SETS[1], SETS[1])})
