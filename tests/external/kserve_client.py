"""
Call every method of KServe's `InferenceRESTClient`: `kserve_client.py ADDRESS FOLDER`.

It runs in the environment of that client. FOLDER has the arrays that the native calls
answered, which must come back with the same bits. The name of every method is printed.
"""

import asyncio
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import numpy as np

kserve: Any = import_module("kserve")
rest: Any = import_module("kserve.inference_client")
infer_type: Any = import_module("kserve.protocol.infer_type")
errors: Any = import_module("kserve.errors")

MODELS = ("vae-encode", "vae-decode", "vae-sample", "vae-elbo", "vae-reconstruct")
PARAMETERS: dict[str, dict[str, Any]] = {
    "vae-encode": {},
    "vae-decode": {},
    "vae-sample": {"seed": 5, "draw": "sample", "temperature": 0.5},
    "vae-elbo": {"seed": 7, "n_samples": 3, "binarize": "sample"},
    "vae-reconstruct": {"seed": 9, "n_samples": 2},
}
METHODS = {"close", "explain", "infer", "is_model_ready", "is_server_live"} | {
    "is_server_ready"
}


def request(folder: Path, model: str, *, binary: bool) -> Any:
    """Return the request for what a native call answered."""
    array = np.load(folder / f"{model}-in.npz")
    [name] = array.files
    values = array[name]
    datatype = "INT64" if name == "n" else "FP32"
    sent = kserve.InferInput(name, list(values.shape), datatype)
    sent.set_data_from_numpy(values, binary_data=binary)
    outputs = [
        infer_type.RequestedOutput(name, parameters={"binary_data": binary})
        for name in np.load(folder / f"{model}-out.npz").files
    ]
    return kserve.InferRequest(
        model, [sent], parameters=PARAMETERS[model], request_outputs=outputs
    )


def check(folder: Path, model: str, response: Any) -> None:
    """Check that a response has the bits of the native call."""
    wanted = np.load(folder / f"{model}-out.npz")
    assert response.model_name == model
    assert [output.name for output in response.outputs] == wanted.files
    for output in response.outputs:
        found, values = output.as_numpy(), wanted[output.name]
        assert found.shape == values.shape, (model, output.name)
        assert found.astype(values.dtype).tobytes() == values.tobytes(), output.name
    seed = PARAMETERS[model].get("seed")
    if seed is not None:
        assert response.parameters["seed"] == seed


async def call_all(client: Any, address: str, folder: Path) -> None:
    """Call every method."""
    assert await client.is_server_live(address)
    assert await client.is_server_ready(address)
    for model in MODELS:
        assert await client.is_model_ready(address, model)
        for binary in (False, True):
            asked = request(folder, model, binary=binary)
            response = await client.infer(address, asked, model_name=model)
            check(folder, model, response)
    assert not await client.is_model_ready(address, "nope")
    wrong = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32"}]}
    found = ""
    try:
        await client.infer(address, wrong, model_name="vae-encode")
    except httpx.HTTPStatusError as error:
        found = str(error)
    assert "expected [N, " in found, found
    is_supported = True
    try:
        await client.explain(address, "vae-encode", wrong)
    except errors.UnsupportedProtocol:  # a method of the first protocol
        is_supported = False
    assert not is_supported
    await client.close()


def main(address: str, folder: str) -> None:
    """Call every method of the client."""
    public = {name for name in dir(rest.InferenceRESTClient) if name[0] != "_"}
    assert public == METHODS, public ^ METHODS
    client = rest.InferenceRESTClient(rest.RESTConfig(protocol="v2"))
    asyncio.run(call_all(client, address, Path(folder)))
    sys.stdout.write("\n".join(sorted(public)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
