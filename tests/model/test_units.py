"""Neither the unit nor the zero of a column changes what a model sees."""

import numpy as np
import pytest
import torch

from model.units import StoredUnits, Units

U = np.random.default_rng(0).standard_normal((300, 4))
SCALES = (1e-12, 1e-7, 1e-3, 1.0, 1e4, 1e12)
OFFSETS = (0.0, 1.0, -1e3, 1e6, -1e6)  # in spreads


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("scale", SCALES)
def test_standardized_data_do_not_depend_on_their_unit_or_zero(
    scale: float, offset: float
) -> None:
    """One column is in other units; all columns are standardized as before."""
    x = U.copy()
    x[:, 1] = scale * (U[:, 1] + offset)

    plain = Units.of_rows(U, shared=False).standardize(U)
    u = Units.of_rows(x, shared=False).standardize(x)

    # A float64 of 1e6 spreads resolves 1e-10 of them; float32 rounds to 1e-7.
    np.testing.assert_allclose(u, plain, rtol=3e-7, atol=1e-9)
    np.testing.assert_array_equal(u[:, [0, 2, 3]], plain[:, [0, 2, 3]])


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("scale", [*SCALES, 1e-250, 1e250])
def test_measured_units_are_mean_and_standard_deviation(
    scale: float, offset: float
) -> None:
    """In float64, and without overflow or underflow of squares."""
    x = scale * (U + offset)

    units = Units.of_rows(x, shared=False)

    np.testing.assert_allclose(units.scale, scale * U.std(axis=0), rtol=1e-9)
    mean = scale * (U.mean(axis=0) + offset)
    np.testing.assert_allclose(units.shift, mean, rtol=1e-12, atol=1e-12 * scale)


@pytest.mark.parametrize(
    ("value", "scale"), [(0.0, 1.0), (7.5, 7.5), (-3e-9, 3e-9), (1e15, 1e15)]
)
def test_a_constant_column_gets_its_size_as_scale(value: float, scale: float) -> None:
    """Up to rounding: 0.1 + 0.2 and 0.3 are the same value."""
    x = np.full((50, 2), value)
    x[::2, 1] = np.nextafter(value, np.inf) if value else 0.0

    units = Units.of_rows(x, shared=False)

    np.testing.assert_allclose(units.scale, scale, rtol=1e-15)
    assert np.abs(units.standardize(x)).max() < 1e-12


@pytest.mark.parametrize("spread", [1e-7, 1e-10, 1e-30])
def test_a_column_of_small_values_is_not_constant(spread: float) -> None:
    """What counts is its spread, not the size of its values."""
    x = spread * U

    assert Units.of_rows(x, shared=False).standardize(x).std() > 0.99


def test_pixels_share_one_scale() -> None:
    """Each has its own shift; a constant pixel does not count as one of its own."""
    x = U.copy()
    x[:, 0] = 3

    units = Units.of_rows(x, shared=True)

    np.testing.assert_allclose(units.shift, x.mean(axis=0))
    np.testing.assert_allclose(units.scale, np.sqrt(x.var(axis=0).mean()))


def test_the_way_back_is_exact_to_float64() -> None:
    """Means, variances and densities of u become those of x."""
    units = Units(np.array([1.7e9, -2.0]), np.array([3e4, 1e-7]))
    u = U[:, :2]

    x = units.mean(u)

    np.testing.assert_allclose((x - units.shift) / units.scale, u, atol=1e-9)
    np.testing.assert_allclose(units.variance(u**2), np.square(units.scale) * u**2)
    np.testing.assert_allclose(
        np.exp(units.log_var(np.log(u**2))), units.variance(u**2), rtol=1e-12
    )
    np.testing.assert_allclose(units.log_jacobian, -np.log(units.scale).sum())


@pytest.mark.parametrize("first", [0, 1, 2, 7])
def test_a_part_of_a_row_is_standardized_as_the_row(first: int) -> None:
    """Its values find their columns by their position."""
    units = Units(np.arange(4.0), np.arange(1.0, 5.0))
    x = U[:5]

    part = units.standardize_part(x.reshape(-1)[first : first + 9], first)

    wanted = units.standardize(x).reshape(-1)[first : first + 9]
    np.testing.assert_array_equal(part, wanted)


def test_every_x_in_the_range_fits_float32() -> None:
    """At both ends, in every column."""
    units = Units(np.array([1e30, 0.0, -5.0]), np.array([1e-12, 1e12, 1.0]))

    for x in units.x_range:
        assert np.isfinite(units.standardize(np.full((1, 3), x))).all()


def test_stored_units_stay_float64() -> None:
    """Whatever dtype the weights beside them get, to the bit."""
    stored = StoredUnits(2)
    units = Units(np.array([1.7e9 + 1 / 3, 1e-300]), np.array([1 / 3, 1e300]))
    stored.set(units)

    for changed in (stored.float(), stored.double(), stored.to(torch.float16)):
        np.testing.assert_array_equal(changed.units.shift, units.shift)
        np.testing.assert_array_equal(changed.units.scale, units.scale)
        assert changed.shift.dtype == torch.float64
