"""Requests and responses of the Open Inference Protocol, by hand."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from tests.app.served import Served

LENGTH = "inference-header-content-length"
DTYPES = {"FP32": np.float32, "FP64": np.float64}
NAMES = {
    **{np.dtype(f"f{n}"): f"FP{8 * n}" for n in (2, 4, 8)},
    **{np.dtype(f"i{n}"): f"INT{8 * n}" for n in (1, 2, 4, 8)},
    **{np.dtype(f"u{n}"): f"UINT{8 * n}" for n in (1, 2, 4, 8)},
    np.dtype("?"): "BOOL",
}


def tensor(name: str, values: NDArray[Any], **members: Any) -> dict[str, Any]:
    """Return the description of an input."""
    described = {"datatype": NAMES[values.dtype], "shape": list(values.shape)}
    return {"name": name, **described, **members}


def post(
    served: Served,
    model: str,
    document: object,
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Ask for inference; with `data` after the document, in binary."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    sent = dict(headers or {})
    if data is not None:
        sent.setdefault(LENGTH, str(len(text)))
    url = f"/v2/models/{model}/infer"
    return served.post_raw(url, text + (data or b""), sent)


def in_json(
    served: Served, model: str, name: str, values: NDArray[Any], **parameters: Any
) -> httpx.Response:
    """Ask with an array in the document."""
    data = values.astype(float).reshape(-1).tolist()
    document = {"inputs": [tensor(name, values, data=data)], "parameters": parameters}
    return post(served, model, document)


def in_binary(
    served: Served, model: str, name: str, values: NDArray[Any], **parameters: Any
) -> httpx.Response:
    """Ask with an array after the document, for outputs in binary."""
    size = {"binary_data_size": values.nbytes}
    document = {
        "inputs": [tensor(name, values, parameters=size)],
        "parameters": {"binary_data_output": True, **parameters},
    }
    return post(served, model, document, values.tobytes())


def outputs(response: httpx.Response) -> dict[str, NDArray[Any]]:
    """Return the tensors of a response, in JSON or in binary."""
    assert response.status_code == 200, response.text
    length = int(response.headers.get(LENGTH, len(response.content)))
    document = json.loads(response.content[:length])
    found: dict[str, NDArray[Any]] = {}
    for one in document["outputs"]:
        dtype, shape = DTYPES[one["datatype"]], one["shape"]
        size = one.get("parameters", {}).get("binary_data_size")
        if size is None:
            values = np.array(one["data"], dtype)
        else:
            values = np.frombuffer(response.content[length : length + size], dtype)
            length += size
        found[one["name"]] = values.reshape(shape)
    assert length == len(response.content)
    return found


def parameters(response: httpx.Response) -> dict[str, Any]:
    """Return the parameters of a response."""
    length = int(response.headers.get(LENGTH, len(response.content)))
    found: dict[str, Any] = json.loads(response.content[:length])["parameters"]
    return found


def assert_error(response: httpx.Response, status: int, *words: str) -> str:
    """Check the one shape of every failure below /v2, and return its text."""
    document = response.json()

    assert response.status_code == status, document
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    assert list(document) == ["error"]
    assert len(response.content) < 1000
    text: str = document["error"]
    assert all(word in text for word in words), text
    return text


def same(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> bool:
    """Say whether two sets of tensors have the same names, shapes, dtypes and bits."""
    names: Sequence[str] = sorted(one)
    return names == sorted(other) and all(
        one[name].dtype == other[name].dtype
        and one[name].shape == other[name].shape
        and one[name].tobytes() == other[name].tobytes()
        for name in names
    )
