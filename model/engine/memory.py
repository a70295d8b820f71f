"""Recognize the out-of-memory errors of torch and ONNX Runtime."""

import torch

_WORDS = (
    "can't allocate memory",  # torch on a CPU
    "Failed to allocate memory",  # ONNX Runtime
    "std::bad_alloc",
    "bad allocation",
)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error means that there was not enough memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in _WORDS)
