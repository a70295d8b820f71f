"""The mask of `--measure impute`: which values of each row are known."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.files import DataError
from model.files.arrays import load_arrays


def read(path: Path, *, data_shape: tuple[int, ...], n_rows: int) -> NDArray[np.bool_]:
    """
    Read where x is known, (N, D), from a .npy file.

    The file has one mask in the shape of an example, for all rows, or one such mask for
    each row. Examples may be flattened.

    Raises:
        ValueError: It is not a mask, or has another shape.
    """
    try:
        values = load_arrays(path)
    except DataError as error:
        raise ValueError(f"--mask {path}: expected a .npy file: {error}") from None
    if not isinstance(values, np.ndarray):
        raise ValueError(f"--mask {path}: expected a .npy file of one array")
    dim = int(np.prod(data_shape))
    if not np.isin(values, (0, 1)).all():
        raise ValueError(f"--mask {path}: expected 1 where x is known, 0 where not")
    for one in {data_shape, (dim,)}:
        if values.shape in (one, (n_rows, *one)):
            return np.broadcast_to(values.reshape(-1, dim) == 1, (n_rows, dim))
    raise ValueError(
        f"--mask {path}: expected the shape {list(data_shape)}, or one mask for each "
        f"of {n_rows} rows, got {list(values.shape)}"
    )
