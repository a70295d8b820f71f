"""The fit of which cells are missing, after training."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from model import data
from model.data import Dataset
from model.data.preparation import Prepared, prepare_table
from model.dataset_elbo import estimate_elbo
from model.engine import Engine
from model.noise import Stream, uniform_rows
from model.tables.likelihood import Table
from model.tables.parameters import cell_distributions
from model.tables.schema import Codes, TableSchema
from model.train.missing_fit import with_missing_cells
from model.train.missing_structure import missing_sets, pattern_of
from model.vae import VAE
from tests.model.tables.tables import MIXED, fitted, levels, mixed_codes, model, number
from tests.tiny import save_tiny

COLUMNS = (
    levels("kind", "binary", "one", "two"),
    number("late"),
    number("partner"),
    number("age"),
    number("since"),
    levels("phone", "categorical", "a", "b", "c"),
)


def structured(n: int = 600) -> Codes:
    """
    Return rows with gaps of four sorts.

    Partner and age are missing together, where kind is one; since is missing where
    late is 0, and else in one of ten rows; phone in a tenth of all rows.
    """
    draw = np.random.default_rng(0)
    late = np.where(draw.random(n) < 0.5, 0, draw.poisson(8, n) + 1)
    codes = np.stack(
        [
            draw.random(n) < 0.4,
            late,
            draw.normal(50, 9, n).round(),
            draw.normal(40, 9, n).round(),
            draw.integers(0, 100, n),
            draw.integers(0, 3, n),
        ],
        axis=1,
    ).astype(np.float64)
    codes[codes[:, 0] == 0, 2:4] = np.nan
    codes[(late == 0) | (draw.random(n) < 0.1), 4] = np.nan
    codes[draw.random(n) < 0.1, 5] = np.nan
    return codes


def test_columns_that_are_missing_together_are_found() -> None:
    """With the column that decides it, and its numbers."""
    schema = TableSchema(columns=COLUMNS)

    together, since, phone = missing_sets(schema, structured())

    assert together.columns == ("partner", "age")
    assert set(together.patterns) == {(), ("partner", "age")}
    assert together.given == "kind"
    assert since.columns == ("since",)
    assert since.given == "late"
    assert since.cuts[0] == 0
    assert phone.columns == ("phone",)
    assert phone.given is None


def test_dependent_columns_become_one_set_with_the_cases_that_occur() -> None:
    """One is missing only where the other one is; independent ones stay apart."""
    draw = np.random.default_rng(0)
    codes = draw.normal(size=(500, 3)).round()
    codes[:250, 0] = np.nan
    codes[:120, 1] = np.nan
    codes[draw.random(500) < 0.3, 2] = np.nan
    schema = TableSchema(columns=tuple(map(number, "abc")))

    first, second = missing_sets(schema, codes)

    assert first.columns == ("a", "b")
    assert set(first.patterns) == {(), ("a",), ("a", "b")}
    assert (first.given, second.given) == (None, None)
    pattern = pattern_of(first, schema, np.array([[False, True, False]]))
    assert pattern.tolist() == [-1]  # which no row had


@pytest.fixture(scope="module")
def fitted_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[VAE, VAE, Dataset]:
    """Return a model without training, the same with the head, and its data."""
    rows = structured()
    vae = model(COLUMNS, rows)
    table = vae.config.table
    assert table is not None
    path = tmp_path_factory.mktemp("fit") / "rows.csv"
    cells = [table.cells(name, rows[:, j]) for j, name in enumerate(table.names)]
    lines = [
        ",".join("" if cell is None else str(cell) for cell in row)
        for row in zip(*cells, strict=True)
    ]
    path.write_text("\n".join([",".join(table.names), *lines]) + "\n")
    dataset = data.load(str(path), read_file=partial(data.read_table, model=vae.config))
    prepared = prepare(vae, dataset)
    return vae, with_missing_cells(vae, dataset, prepared, seed=0), dataset


def prepare(vae: VAE, dataset: Dataset) -> Prepared:
    """Return the rows in the units of the model."""
    assert vae.marginals is not None
    return prepare_table(dataset, vae.marginals)


@pytest.mark.slow("trains")
def test_the_model_itself_does_not_change(
    fitted_model: tuple[VAE, VAE, Dataset],
) -> None:
    """The ELBO of every row is the same, in every digit."""
    before, after, dataset = fitted_model
    x = torch.from_numpy(prepare(before, dataset).validation)

    one, other = (estimate_elbo(vae, x, n_samples=3, seed=0) for vae in (before, after))

    np.testing.assert_array_equal(one.bound, other.bound)
    weights = after.state_dict()
    assert all(torch.equal(w, weights[name]) for name, w in before.state_dict().items())
    assert weights.keys() - before.state_dict().keys() == {
        "decoder.missing.head.weight",
        "decoder.missing.head.bias",
        "decoder.missing.log_share",
    }


@pytest.mark.slow("trains")
def test_draws_have_the_gaps_of_the_training_rows(
    fitted_model: tuple[VAE, VAE, Dataset],
) -> None:
    """For z of training rows; cells that are missing together always are."""
    _, vae, dataset = fitted_model
    n, codes = 4000, dataset.train.x
    rows = np.random.default_rng(1).integers(0, len(codes), n)
    x = torch.from_numpy(vae.in_model_units(codes[rows]))
    generator = torch.Generator().manual_seed(0)
    q_z = vae.encode(x)
    p_x = vae.decode(q_z.reparameterize(torch.randn(q_z.mu.shape, generator=generator)))

    complete = torch.from_numpy(codes[rows]).nan_to_num(0.0)
    assert isinstance(p_x, Table)
    assert p_x.missing is not None
    gaps = p_x.missing.draw(complete, torch.rand(n, 3, generator=generator)).numpy()

    wanted = np.isnan(codes[rows])
    assert np.array_equal(gaps[:, 2], gaps[:, 3])
    assert (gaps[:, 2] == (complete[:, 0] == 0).numpy()).mean() > 0.99
    assert gaps[(complete[:, 1] == 0).numpy(), 4].mean() > 0.99
    error = 5 * np.sqrt(0.25 / n)
    assert np.abs(gaps.mean(axis=0) - wanted.mean(axis=0)).max() < error


def test_a_table_without_gaps_gets_no_head() -> None:
    """The model stays what it is."""
    rows = mixed_codes()
    rows = rows[~np.isnan(rows).any(axis=1)]
    marginals = fitted(MIXED, rows)

    assert missing_sets(marginals.layout.schema, rows) == ()


@pytest.mark.slow("draws with both libraries")
def test_draws_do_not_depend_on_library_or_chunks(
    fitted_model: tuple[VAE, VAE, Dataset], tmp_path: Path
) -> None:
    """ONNX Runtime and torch agree, and values are those of complete rows."""
    _, vae, _ = fitted_model
    save_tiny(tmp_path / "table", vae)
    onnx = Engine.load(tmp_path / "table", device="cpu", backend="onnx", n_threads=1)
    assert onnx.n_missing_sets == 3
    z = onnx.latents(300, seed=1, temperature=1.0)
    noise = uniform_rows((300, 6), seed=1, stream=Stream.DATA)
    gaps = uniform_rows((300, 3), seed=1, stream=Stream.MISSING)

    found = onnx.draw_with_gaps(z, noise, gaps)

    parts = [
        onnx.draw_with_gaps(z[p], noise[p], gaps[p])
        for p in (slice(0, 7), slice(7, 150), slice(150, 300))
    ]
    np.testing.assert_array_equal(found, np.concatenate(parts))
    complete = onnx.draw(z, noise)
    assert not np.isnan(complete).any()
    np.testing.assert_array_equal(found, np.where(np.isnan(found), np.nan, complete))
    p_x = vae.decode(torch.from_numpy(z))
    assert isinstance(p_x, Table)
    drawn = p_x.with_gaps(torch.from_numpy(complete), torch.from_numpy(gaps))
    assert np.array_equal(np.isnan(found), drawn.isnan().numpy())
    missing = cell_distributions(p_x).missing.numpy()
    np.testing.assert_allclose(onnx.cells(z).missing, missing, atol=1e-5)
