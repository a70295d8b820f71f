"""Raw rows in memory are what the same rows of a request are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.bulk.conversion import Conversion, ValueOutsideError, encode_block
from model.engine import Engine
from model.vae import VAE
from tests.tiny import tiny_config, tiny_vae


def test_raw_rows_are_encoded(checkpoints: Path) -> None:
    """Pixels in their shape, as a function for those who read data in another way."""
    engine = Engine.load(
        checkpoints / "bernoulli", device="cpu", backend="auto", n_threads=1
    )
    pixels = np.random.default_rng(1).integers(0, 256, (9, 4, 4), dtype=np.uint8)

    found = encode_block(engine, pixels)

    x = pixels.reshape(9, 16).astype(np.float32) / np.float32(255)
    want = engine.encode(x)
    assert found.mu.tobytes() == want.mu.tobytes()
    assert found.log_var.tobytes() == want.log_var.tobytes()


BAD: dict[str, tuple[dict[str, Any], NDArray[Any], str]] = {
    "range": ({}, np.array([[0.5, 1], [1.5, 0]]), "expected a value in [0, 1]"),
    "pixels": (
        {},
        np.array([[0, 1], [300, 0]], np.uint16),
        "expected a value in [0, 1]",
    ),
    "nan": ({"likelihood": "gaussian"}, np.array([[0, 1], [np.nan, 0]]), "finite"),
    "large": ({"likelihood": "gaussian"}, np.array([[0, 1], [1e39, 0]]), "float32"),
    "far": (
        {"likelihood": "gaussian", "standardized": True},
        np.array([[0, 1], [1e300, 0]]),
        "a number like those of the training",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_value_has_its_row_and_column(
    build: Callable[..., VAE], kind: str
) -> None:
    """And what was expected."""
    changes, values, words = BAD[kind]
    conversion = Conversion.to_x(build(data_shape=(2,), **changes))

    with pytest.raises(ValueOutsideError) as refused:
        conversion.rows(values)

    assert refused.value.index == (1, 0)
    assert words in refused.value.why


def test_every_pixel_is_accepted() -> None:
    """All values of 8 bits, which are not checked one by one, and booleans."""
    conversion = Conversion.to_x(tiny_vae(tiny_config("bernoulli", data_shape=(2,))))
    every = np.arange(256, dtype=np.uint8).reshape(-1, 2)

    x = conversion.rows(every)

    np.testing.assert_array_equal(x, every.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(conversion.rows(every > 3), every > 3)
