"""Constant arrays as tensors on the device that computes, each of them made once."""

from functools import cached_property

import torch
from torch import Tensor


class DeviceArrays:
    """What layouts share; abstract. A subclass has arrays as attributes."""

    def tensor(self, name: str, device: torch.device) -> Tensor:
        """Return an array on a device."""
        key = (name, device)
        if key not in self._tensors:
            # A tensor of inference mode could not be used with gradients later.
            with torch.inference_mode(mode=False):
                self._tensors[key] = torch.from_numpy(getattr(self, name)).to(device)
        return self._tensors[key]

    @cached_property
    def _tensors(self) -> dict[tuple[str, torch.device], Tensor]:
        return {}
