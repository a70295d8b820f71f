"""The types of the arrays that results have."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
# In the units of the data: float64 if the model standardizes, else float32.
DataArray = NDArray[np.floating[Any]]
Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
