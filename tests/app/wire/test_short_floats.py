"""Floats that numpy does not have are widened to the numbers that torch reads."""

import numpy as np
import pytest
import torch

from app.wire.short_floats import SHORT_FLOATS


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("BF16", torch.bfloat16),
        ("F8_E5M2", torch.float8_e5m2),
        ("F8_E4M3", torch.float8_e4m3fn),
    ],
)
def test_every_number_is_widened_exactly(name: str, dtype: torch.dtype) -> None:
    """All 256 or 65,536 of them, NaN and infinity included."""
    stored, widened = SHORT_FLOATS[name]
    bits = np.arange(1 << 8 * stored.itemsize).astype(stored)

    numbers = widened(bits)

    wanted = torch.from_numpy(bits).view(dtype).float().numpy()
    np.testing.assert_array_equal(numbers, wanted)
    assert numbers.dtype == np.float32
