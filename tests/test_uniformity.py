"""The test of a uniform distribution that other tests use is itself right."""

import numpy as np
import pytest

from tests import uniformity


@pytest.mark.parametrize(
    ("n", "distance", "wanted"),
    [(1, 0.975, 0.05), (10, 0.409246, 0.05), (10, 0.488932, 0.01), (40, 0.25204, 0.01)],
)
def test_p_values_are_those_of_tables(n: int, distance: float, wanted: float) -> None:
    """The critical distances of Massey (1951); a value alone has 2 (1 - D)."""
    u = (np.arange(n) + 1) / n - distance

    found = uniformity.p_value(u)

    assert found == pytest.approx(wanted, rel=1e-3)
