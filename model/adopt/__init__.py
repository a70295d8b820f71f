"""Serve networks that were trained elsewhere: from ONNX files to a checkpoint."""

from model.adopt.adoption import adopt
from model.adopt.options import AdoptOptions
from model.adopt.torch_export import from_torch

__all__ = ["AdoptOptions", "adopt", "from_torch"]
