"""What a command says of input that it cannot use."""

import pytest
import torch

from model.input_errors import INPUT_ERRORS, reason


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "x.npy"), "x.npy: No such"),
        (OSError("the disk is odd"), "the disk is odd"),
        (MemoryError("8 GiB"), "not enough memory: 8 GiB"),
        (torch.OutOfMemoryError("cuda"), "not enough memory: cuda"),
        (ValueError("--n is too large"), "--n is too large"),
    ],
)
def test_the_reason_is_one_line(error: Exception, words: str) -> None:
    """The file and what is wrong with it; lack of memory is called so."""
    assert isinstance(error, INPUT_ERRORS)
    assert reason(error).startswith(words)
