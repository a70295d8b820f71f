"""Check tensors that were read: their names, shapes, dtypes and values."""

from collections.abc import Mapping

import torch
from torch import Tensor


def check_shapes(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """
    Check that there are exactly the wanted tensors, each of its shape and dtype.

    Raises:
        ValueError: Tensors are missing, unknown or wrong; the message names them.
    """
    missing, unknown = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    if missing or unknown:
        raise ValueError(
            "expected exactly the keys of the configuration, got "
            f"{sorted(missing)[:5]} missing and {sorted(unknown)[:5]} unknown"
        )
    for name, tensor in found.items():
        expected = wanted[name]
        if tensor.shape != expected.shape or tensor.dtype != expected.dtype:
            raise ValueError(
                f"{name}: expected {expected.dtype} {list(expected.shape)}, "
                f"got {tensor.dtype} {list(tensor.shape)}"
            )


def check_values(found: Mapping[str, Tensor]) -> None:
    """
    Check that every value is finite, and every scale of a standardization positive.

    Raises:
        ValueError: A value is wrong; the message has tensor, value and index.
    """
    for name, tensor in found.items():
        check_all(tensor, torch.isfinite(tensor), "finite values", name)
        if name.endswith("standardization.scale"):
            check_all(tensor, tensor > 0, "positive values", name)


def check_all(tensor: Tensor, is_good: Tensor, wanted: str, name: str) -> None:
    """
    Check that every value is good.

    Raises:
        ValueError: A value is not; the message has the first one and its index.
    """
    if not is_good.all():
        index = (~is_good).nonzero()[0].tolist()
        raise ValueError(
            f"{name}: expected {wanted}, got {tensor[tuple(index)].item()} at {index}"
        )
