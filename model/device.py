"""Choose the device that torch computes on."""

from typing import final

import torch


@final
class DeviceError(ValueError):
    """A device was asked for that this machine or this build of torch lacks."""


def choose_device(name: str) -> torch.device:
    """
    Return the device of a name; `auto` is a GPU where there is one.

    Raises:
        DeviceError: There is no such device.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("device cuda was asked for, but torch finds no CUDA device")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
