"""Read the files of an adoption; what can execute code is refused with the way out."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from model.graph import Graph, GraphError, read
from model.regular_files import open_regular, read_regular

_MAX_BYTES = (1 << 31) - 1  # of a protobuf message
_MAX_ARRAY_BYTES = 1 << 30

_EXPORT = {
    "torch": "torch.onnx.export(encoder.eval(), (x,), 'encoder.onnx', "
    "input_names=['x'], output_names=['mu', 'log_var'], dynamo=True, optimize=False, "
    "dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), external_data=False)",
    "keras": "encoder.export('encoder.onnx', format='onnx')",
}
_PT2 = (
    "an exported program of torch, which can execute code twice over: by its pickles "
    "and by its compiled parts"
)
_REFUSED = {
    ".pkl": ("a pickle, which can execute code", "torch"),
    ".pickle": ("a pickle, which can execute code", "torch"),
    ".pt": ("a pickle of torch, which can execute code", "torch"),
    ".pth": ("a pickle of torch, which can execute code", "torch"),
    ".ckpt": ("a pickle of torch, which can execute code", "torch"),
    ".bin": ("a pickle of torch, which can execute code", "torch"),
    ".pt2": (_PT2, "torch"),
    ".keras": ("a Keras model, whose Lambda layers can execute code", "keras"),
    ".h5": ("a Keras model, whose Lambda layers can execute code", "keras"),
    ".hdf5": ("a Keras model, whose Lambda layers can execute code", "keras"),
}


def read_graph(path: Path) -> Graph:
    """
    Read an ONNX file.

    Raises:
        ValueError: It is of another kind, or cannot be served.
        OSError: It cannot be read.
    """
    check_kind(path)
    try:
        return read(read_regular(path, max_bytes=_MAX_BYTES))
    except GraphError as error:
        raise ValueError(f"{path}: {error}") from error


def check_kind(path: Path) -> None:
    """
    Check that a file may be an ONNX file.

    Raises:
        ValueError: It is of a kind that can execute code.
    """
    suffix = path.suffix.lower()
    if suffix in _REFUSED:
        why, framework = _REFUSED[suffix]
        raise ValueError(
            f"{path}: {suffix} is {why}, so it is not read. Export the network to ONNX "
            f"where it was trained: {_EXPORT[framework]}; docs/your-own-model.md has "
            "the lines for each framework"
        )
    if path.is_dir():
        raise ValueError(
            f"{path}: expected an ONNX file, this is a directory. A SavedModel of "
            f"TensorFlow is exported where it was trained: {_EXPORT['keras']}"
        )


def read_array(path: Path) -> NDArray[np.float32]:
    """
    Read a .npy file of numbers as float32.

    Raises:
        ValueError: It is no such file, or a value is not finite.
        OSError: It cannot be read.
    """
    with open_regular(path) as file:
        try:
            array = np.load(file, allow_pickle=False)
        except (ValueError, EOFError, BadZipFile) as error:
            raise ValueError(f"{path}: expected a .npy file of numbers") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise ValueError(f"{path}: expected a .npy file of numbers")
    found = array.astype(np.float32)
    if array.nbytes > _MAX_ARRAY_BYTES or not np.isfinite(found).all():
        raise ValueError(f"{path}: expected finite numbers, at most 1 GiB of them")
    return found
