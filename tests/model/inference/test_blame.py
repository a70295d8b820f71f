"""Blame is log p(x_j) - log p(x_j | x_-j), by enumeration, with true errors."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from model.inference.blame import blame, n_draws_to_blame
from model.tables.layout import Planes
from model.tables.schema import Codes
from model.vae import VAE
from tests.model.tables.tables import MIXED, levels, mixed_codes, model

DISCRETE = (
    levels("c", "categorical", "a", "b", "c"),
    levels("b", "binary", False, True),
    levels("o", "ordinal", "S", "M", "L"),
)
SIZES = (4, 2, 3)  # with an unseen category
ROWS = np.array(list(product(*map(range, SIZES))), np.float64)


@pytest.fixture(scope="module")
def discrete() -> VAE:
    """Return a model of a table that can be enumerated, with J = 1."""
    draw = np.random.default_rng(0)
    codes = np.column_stack([draw.integers(0, n, 60) for n in (3, 2, 3)])
    return model(DISCRETE, codes.astype(float), latent_dim=1)


@pytest.fixture(scope="module")
def exact(discrete: VAE) -> Codes:
    """Return the blame of every row by sums over p(x), which is by quadrature."""
    x = x_of(discrete, ROWS)
    z = torch.linspace(-8, 8, 801)
    of_cells = discrete.decode(z[:, None, None]).log_prob_per_dim(x)  # (G, N, C)
    weights = torch.exp(-0.5 * z.double().square()) / np.sqrt(2 * np.pi) * 0.02
    p = (weights @ of_cells.double().sum(dim=2).exp()).numpy().reshape(SIZES)
    assert abs(p.sum() - 1) < 1e-5
    found = Planes.of(x).log_share.double().numpy()
    for j in range(3):
        found[:, j] -= np.log(p / p.sum(axis=j, keepdims=True)).ravel()
    return found


def x_of(vae: VAE, codes: Codes) -> Tensor:
    """Return rows in the model's units."""
    return torch.from_numpy(vae.in_model_units(codes))


@pytest.mark.slow("enumerates all values")
def test_blame_and_its_error_are_those_of_enumeration(
    discrete: VAE, exact: Codes
) -> None:
    """Of 24 rows with 4 seeds each, RMS(error / SE) is near 1, and errors are small."""
    x = x_of(discrete, ROWS)

    found = [blame(discrete, x, seed=seed) for seed in range(4)]

    nats = np.stack([one.nats for one in found])
    errors = np.stack([one.standard_error for one in found])
    seen = ROWS[:, 0] < 3
    ratio = (nats - exact)[:, seen] / errors[:, seen]
    assert 0.7 < np.sqrt(np.mean(ratio**2)) < 1.2
    assert np.abs(ratio).max() < 6
    assert errors.max() < 0.1
    # The mean of the seeds is nearer, so that a bias would show.
    assert np.abs(nats.mean(axis=0) - exact)[seen].max() < 4 * errors.max() / np.sqrt(4)
    # An unseen category has its share whatever z is.
    np.testing.assert_allclose(nats[:, ~seen, 0], 0, atol=1e-5)


def test_without_help_from_the_others_it_compares_two_formulas() -> None:
    """Where z says nothing, p(x_j | x_-j) is p(x_j | z) for every z, without error."""
    vae = model(MIXED, mixed_codes())
    for name, parameter in vae.decoder.named_parameters():
        if name == "eta.weight":
            parameter.zero_()

    found = blame(vae, x_of(vae, mixed_codes(6, seed=1)), seed=0)

    x = x_of(vae, mixed_codes(6, seed=1))
    planes = Planes.of(x)
    of_z = vae.decode(torch.zeros(6, 2)).log_prob_per_dim(x)
    wanted = torch.where(planes.known, planes.log_share - of_z, torch.nan)
    np.testing.assert_allclose(found.nats, wanted.double(), atol=1e-5)
    np.testing.assert_allclose(found.standard_error.nan_to_num(), 0, atol=1e-6)


def test_missing_cells_are_neither_read_nor_blamed() -> None:
    """They are NaN, and a row without cells is NaN throughout."""
    vae = model(MIXED, mixed_codes())
    codes = np.array([[3.0, np.nan, 1.0, np.nan], [np.nan] * 4, [3.0, 9.0, 1.0, 0.0]])

    found = blame(vae, x_of(vae, codes), seed=0)

    assert (found.nats.isnan().numpy() == np.isnan(codes)).all()
    assert (found.standard_error.isnan() == found.nats.isnan()).all()


def test_the_only_known_cell_has_its_probability_under_the_model() -> None:
    """Without others, p(x_j | x_-j) is p(x_j) by draws of the prior."""
    vae = model(MIXED, mixed_codes())
    x = x_of(vae, np.array([[np.nan, np.nan, 2.0, np.nan]]))

    found = blame(vae, x, seed=0)

    z = torch.randn(1 << 14, 2, generator=torch.Generator().manual_seed(0))
    of_z = vae.decode(z).log_prob_per_dim(x)[:, 2].double()
    log_p = torch.logsumexp(of_z, dim=0) - np.log(len(z))
    wanted = Planes.of(x).log_share[0, 2].double() - log_p
    error = found.standard_error[0, 2]
    assert abs(found.nats[0, 2] - wanted) < 4 * error + 0.02
    assert error < 0.2


def test_rows_are_their_own() -> None:
    """A row at its position has the bits that it has among others."""
    vae = model(MIXED, mixed_codes())
    x = x_of(vae, mixed_codes(6, seed=1))

    whole, part = blame(vae, x, seed=3), blame(vae, x[4:], seed=3, first=4)

    np.testing.assert_array_equal(part.nats, whole.nats[4:])
    np.testing.assert_array_equal(part.standard_error, whole.standard_error[4:])


def test_a_row_costs_about_the_same_with_any_number_of_columns() -> None:
    """Some 290 draws up to 48 columns, and four more for each further one."""
    vae = model(MIXED, mixed_codes())
    schema = vae.config.table
    assert schema is not None

    def draws(n: int) -> int:
        named = [
            schema.columns[0].model_copy(update={"name": str(i)}) for i in range(n)
        ]
        table = schema.model_copy(update={"columns": tuple(named)})
        return n_draws_to_blame(vae.config.model_copy(update={"table": table}))

    assert [draws(n) for n in (1, 4, 14, 48, 100)] == [288, 288, 278, 288, 496]
    assert n_draws_to_blame(vae.config.model_copy(update={"table": None})) == 0
