"""Preparation: what is binarized, what is refused, what is measured."""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model import binarization, data
from model.data import DataError, Dataset, blocks
from model.data.preparation import Prepared, prepare, prepare_table
from model.data_config import Binarization
from model.distributions import Bernoulli, ContinuousBernoulli, Gaussian, Likelihood
from model.noise import Stream, uniform
from tests.model.tables.tables import MIXED, fitted, mixed_codes


def load(where: Path, x: NDArray[np.floating]) -> Dataset:
    """Return the array as a data set, by way of a file."""
    np.save(where / "x.npy", x)
    return data.load(str(where / "x.npy"))


def gray(*shape: int) -> NDArray[np.float32]:
    """Return values in [0, 1)."""
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def prepared(
    dataset: Dataset,
    likelihood: type[Likelihood] = Bernoulli,
    how: Binarization | None = None,
    *,
    standardize: bool = False,
    seed: int = 7,
) -> Prepared:
    """Prepare with defaults for what a test does not care about."""
    return prepare(
        dataset, likelihood=likelihood, how=how, standardize=standardize, seed=seed
    )


@pytest.mark.parametrize("how", ["static", "dynamic"])
def test_validation_and_test_are_drawn_once_as_elbo_draws_them(
    tmp_path: Path, how: Binarization
) -> None:
    """The noise is that of a request with the same seed about the same rows."""
    dataset = load(tmp_path, gray(50, 6))

    result = prepared(dataset, how=how)

    for split, x in (
        (dataset.validation, result.validation),
        (dataset.test, result.test),
    ):
        noise = uniform(split.x.shape, seed=7, stream=Stream.BINARIZATION)
        np.testing.assert_array_equal(x, binarization.bernoulli(split.x, noise))
    assert result.binarization == how


def test_static_fixes_the_training_rows_and_dynamic_leaves_them_gray(
    tmp_path: Path,
) -> None:
    """Static rows are {0, 1} with the mean of the gray ones; dynamic ones stay gray."""
    dataset = load(tmp_path, gray(500, 8))

    static, dynamic = prepared(dataset, how="static"), prepared(dataset, how="dynamic")

    assert set(np.unique(static.train)) == {0.0, 1.0}
    # 3200 draws, the mean of whose variances is 1/6: five standard deviations.
    assert static.train.mean() == pytest.approx(dataset.train.x.mean(), abs=0.037)
    np.testing.assert_array_equal(dynamic.train, dataset.train.x)


def test_threshold_cuts_every_split_at_one_half(tmp_path: Path) -> None:
    """1/2 itself becomes 1."""
    x = np.tile(np.array([0.0, 0.25, 0.49999, 0.5, 1.0], np.float32), (20, 1))

    result = prepared(load(tmp_path, x), how="threshold")

    for split in (result.train, result.validation, result.test):
        assert np.unique(split, axis=0).tolist() == [[0, 0, 0, 1, 1]]


def test_what_is_not_said_is_dynamic_for_gray_and_none_for_binary(
    tmp_path: Path,
) -> None:
    """And none for every likelihood that has no need of it."""
    gray_data = load(tmp_path, gray(50, 6))
    binary_data = load(tmp_path, np.round(gray(50, 6)))

    assert prepared(gray_data).binarization == "dynamic"
    assert prepared(binary_data).binarization == "none"
    assert prepared(gray_data, ContinuousBernoulli).binarization == "none"
    assert prepared(gray_data, Gaussian).binarization == "none"


@pytest.mark.parametrize(
    ("likelihood", "how", "value", "wanted"),
    [
        (Bernoulli, "none", 0.5, "{0, 1} for bernoulli"),
        (Bernoulli, "dynamic", 1.5, "[0, 1] to binarize"),
        (Bernoulli, "static", -0.25, "[0, 1] to binarize"),
        (Bernoulli, "threshold", 2.0, "[0, 1] to binarize"),
        (ContinuousBernoulli, None, 1.25, "[0, 1] for continuous_bernoulli"),
    ],
)
@pytest.mark.parametrize("row", range(0, 20, 3))
def test_a_value_outside_the_support_is_named_with_file_and_row(
    tmp_path: Path,
    row: int,
    likelihood: type[Likelihood],
    how: Binarization | None,
    value: float,
    wanted: str,
) -> None:
    """In whichever split the row ends up, its number is the file's."""
    x = np.round(gray(20, 2, 3))
    x[row, 1, 2] = value
    sentence = (
        f"row {row} of x.npy, position [1, 2] holds {value:g}; expected a value in "
        f"{wanted}"
    )

    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        prepared(load(tmp_path, x), likelihood, how)


def test_each_column_of_a_table_gets_its_shift_and_scale(tmp_path: Path) -> None:
    """Measured on the training rows alone; a constant column gets its size."""
    x = np.random.default_rng(0).normal([5, -300, 0], [0.01, 40, 2], (200, 3))
    x = np.column_stack([x, np.full(200, 7.5)]).astype(np.float32)
    dataset = load(tmp_path, x)

    units = prepared(dataset, Gaussian, standardize=True).units

    assert units is not None
    train = dataset.train.x.astype(np.float64)
    np.testing.assert_allclose(units.shift, train.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(units.scale[:3], train.std(axis=0)[:3], rtol=1e-5)
    assert units.scale[3] == 7.5


def test_the_pixels_of_an_image_share_one_scale(tmp_path: Path) -> None:
    """A border pixel that is set in one picture is not blown up; shifts are its own."""
    x = gray(100, 3, 3)
    x[:, 0, 0] = 0
    dataset = load(tmp_path, x)

    units = prepared(dataset, Gaussian, standardize=True).units

    assert units is not None
    train = dataset.train.x.astype(np.float64)
    np.testing.assert_allclose(units.shift, train.mean(axis=0), atol=1e-7)
    np.testing.assert_allclose(units.scale, train.var(axis=0).mean() ** 0.5, rtol=1e-6)


def test_without_standardization_there_is_no_map(tmp_path: Path) -> None:
    """The networks see the data's own units."""
    dataset = load(tmp_path, gray(50, 4))

    assert prepared(dataset, Gaussian).units is None


@pytest.mark.parametrize("standardize", [True, False])
def test_a_row_too_far_to_compute_is_named_before_training(
    tmp_path: Path, *, standardize: bool
) -> None:
    """Such as one that has a fill value in a file, which only the test rows have."""
    x = np.random.default_rng(0).normal(size=(50, 2))
    row = int(load(tmp_path, x).test.rows[-1])
    x[row, 1] = 1e20

    with pytest.raises(DataError, match=rf"^row {row} of x.npy, position \[1\] holds"):
        prepared(load(tmp_path, x), Gaussian, standardize=standardize)


@pytest.mark.parametrize("row", [3, 250, 399])
def test_a_code_of_no_category_is_named_by_its_row_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: int
) -> None:
    """Whatever split and block it is in."""
    monkeypatch.setattr(blocks, "_VALUES", 64)
    codes = np.nan_to_num(mixed_codes())
    marginals = fitted(MIXED, codes)
    codes[row, 2] = 7
    dataset = load(tmp_path, codes)

    with pytest.raises(DataError) as caught:
        prepare_table(dataset, marginals)

    place = f"row {row} of x.npy, position [2] holds 7; expected a category from 0 to 3"
    assert str(caught.value).startswith(place)
