"""Arrays of one request are prepared for one model."""

import numpy as np
import pytest

from vae_client import ModelChangedError
from vae_client.same_model import PreparedRows, common_version

X = np.zeros((1, 2))
PLAIN = PreparedRows("x", X)


def test_arrays_of_one_request_have_the_model_of_the_frames_among_them() -> None:
    """An array that was no frame goes to any model."""
    mask = PreparedRows("mask", X, "a")

    assert common_version("http://a", [PLAIN]) is None
    assert common_version("http://a", [PLAIN, mask]) == "a"
    assert common_version("http://a", [mask, mask]) == "a"


def test_arrays_of_two_models_are_refused() -> None:
    """The model was replaced while the second was prepared."""
    arrays = [PreparedRows("x", X, "a"), PreparedRows("mask", X, "b")]

    with pytest.raises(ModelChangedError, match="expected a in all responses, got b"):
        common_version("http://a", arrays)
