"""Errors that a command reports in one line: what it was given cannot be used."""

import torch

BAD_INPUT, INTERRUPTED = 2, 130  # exit statuses
INPUT_ERRORS = (OSError, MemoryError, torch.OutOfMemoryError, ValueError)


def reason(error: Exception) -> str:
    """Return why a command ends with one of `INPUT_ERRORS`."""
    if isinstance(error, OSError):
        is_known = error.filename and error.strerror
        return f"{error.filename}: {error.strerror}" if is_known else str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return f"not enough memory: {error}"
    return str(error)
