"""Choose the device that torch computes on."""

from typing import final

import torch


@final
class DeviceError(ValueError):
    """This machine or this build of torch does not have the requested device."""


def choose_device(name: str) -> torch.device:
    """
    Return the torch device of a name; `auto` is CUDA if available, else the CPU.

    Raises:
        DeviceError: The device is not available.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "device cuda was asked for, but torch finds no CUDA device: use cpu or auto"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
