"""Serve networks that were trained elsewhere: from ONNX files to a checkpoint."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.adopt.adoption import adopt
    from model.adopt.options import AdoptOptions
    from model.adopt.torch_export import from_torch

__all__ = ["AdoptOptions", "adopt", "from_torch"]

_MODULES = {
    "AdoptOptions": "model.adopt.options",
    "adopt": "model.adopt.adoption",
    "from_torch": "model.adopt.torch_export",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first used: the command must start without extras."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
