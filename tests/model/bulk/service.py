"""Responses of the service, to compare files of the bulk commands with."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from safetensors.numpy import load, save

from tests.app.served import Served

Arrays = Mapping[str, NDArray[Any]]
BINARY = "application/vnd.safetensors"


def answered(served: Served, url: str, **tensors: NDArray[Any]) -> Arrays:
    """Return the tensors of a response."""
    headers = {"accept": BINARY}
    if tensors:
        headers["content-type"] = BINARY
        response = served.post_raw(url, save(tensors), headers)
    else:
        response = served.get(url, headers=headers)
    assert response.status_code == 200, response.text
    return load(response.content)


def assert_same_bits(got: Arrays, want: Arrays) -> None:
    """Check that arrays have the same names, types, shapes and bytes."""
    assert got.keys() == want.keys()
    for name, values in want.items():
        assert got[name].dtype == values.dtype
        assert got[name].shape == values.shape
        assert got[name].tobytes() == values.tobytes(), name
