"""The options of an adoption are checked before any work."""

from pathlib import Path
from typing import Any

import pytest

from model.adopt import AdoptOptions


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"input_range": (1.0, 1.0)}, "--input-range must ascend .*, got 1.0 1.0"),
        ({"input_range": (0.0, 1e7)}, "between -1e6 and 1e6, got 0.0 10000000.0"),
        ({"sigma_floor": 0.0}, "--sigma-floor must be above 0 .* 1000, got 0.0"),
        ({"components": 0}, r"--components must lie between 1 and \d+, got 0"),
        ({"examples": 65}, "--examples must lie between 0 and 64, got 65"),
        ({"test_samples": 0}, "--test-samples must lie between 1 and 4096, got 0"),
        ({"test_seed": -1}, r"--test-seed must lie between 0 and \d+, got -1"),
        ({"divided_by": 1e9}, "--divided-by must .* below 1e9, got 1000000000.0"),
        ({"prior": "fit"}, "--prior fit needs --data"),
        ({"sigma": "1"}, "--sigma needs --likelihood gaussian"),
        ({"likelihood": "gaussian", "sigma": "x"}, "--sigma must be a .*, got x"),
        ({"likelihood": "gaussian", "sigma": "fit"}, "--sigma needs --data"),
    ],
)
def test_an_option_out_of_range_is_refused_with_its_range(
    changed: dict[str, Any], error: str
) -> None:
    """The message has the option, what it may be, and what was given."""
    options: dict[str, Any] = {
        "encoder": Path("encoder.onnx"),
        "decoder": Path("decoder.onnx"),
        "likelihood": "bernoulli",
        "out": Path("adopted"),
    }

    with pytest.raises(ValueError, match=error):
        AdoptOptions(**{**options, **changed}).check()
