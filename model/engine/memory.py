"""What the libraries that compute raise when there is no memory for a result."""

import torch

_WORDS = (
    "can't allocate memory",  # torch on a CPU
    "Failed to allocate memory",  # ONNX Runtime
    "std::bad_alloc",
    "bad allocation",
)


def is_out_of_memory(error: Exception) -> bool:
    """Say whether an error, of any of them, is that memory was lacking."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in _WORDS)
