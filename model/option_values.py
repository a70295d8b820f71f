"""Values of options that the commands, the service and the engine share; no torch."""

from typing import Literal

Binarize = Literal["threshold", "sample"]
Draw = Literal["mean", "sample"]  # E[x|z], or x ~ p(x|z)
