"""
Call every method of `tritonclient.http`: `triton_client.py ADDRESS FOLDER`.

It runs in the environment of that client. FOLDER has the arrays that the native calls
answered, which must come back with the same bits. The name of every method is printed.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

http: Any = import_module("tritonclient.http")
auth: Any = import_module("tritonclient.http.auth")
ServerError: Any = import_module("tritonclient.utils").InferenceServerException

MODELS = ("vae-encode", "vae-decode", "vae-sample", "vae-elbo", "vae-reconstruct")
PARAMETERS: dict[str, dict[str, Any]] = {
    "vae-encode": {},
    "vae-decode": {},
    "vae-sample": {"seed": 5, "draw": "sample", "temperature": 0.5},
    "vae-elbo": {"seed": 7, "n_samples": 3, "binarize": "sample"},
    "vae-reconstruct": {"seed": 9, "n_samples": 2},
}


class Calls:
    """The client, and what the native calls answered."""

    def __init__(self, address: str, folder: Path) -> None:
        self.client = http.InferenceServerClient(address)
        self.folder = folder
        self.version = self.client.get_model_metadata(MODELS[0])["versions"][0]

    def request(self, model: str, *, binary: bool) -> dict[str, Any]:
        """Return the arguments that ask for what a native call answered."""
        array = np.load(self.folder / f"{model}-in.npz")
        [name] = array.files
        values = array[name]
        datatype = "INT64" if name == "n" else "FP32"
        sent = http.InferInput(name, list(values.shape), datatype)
        sent.set_data_from_numpy(values, binary_data=binary)
        outputs = [
            http.InferRequestedOutput(name, binary_data=binary)
            for name in np.load(self.folder / f"{model}-out.npz").files
        ]
        return {"inputs": [sent], "outputs": outputs, "parameters": PARAMETERS[model]}

    def check(self, model: str, result: Any) -> None:
        """Check that a result has the bits of the native call."""
        wanted = np.load(self.folder / f"{model}-out.npz")
        for name in wanted.files:
            found = result.as_numpy(name)
            assert found.dtype == wanted[name].dtype, (model, name)
            assert found.shape == wanted[name].shape, (model, name)
            assert found.tobytes() == wanted[name].tobytes(), (model, name)
        seed = PARAMETERS[model].get("seed")
        if seed is not None:
            assert result.get_response()["parameters"]["seed"] == seed

    def infer(self) -> None:
        """Ask every model, in JSON and in binary, with and without compression."""
        for model in MODELS:
            for binary in (False, True):
                asked = self.request(model, binary=binary)
                self.check(model, self.client.infer(model, **asked))
                named = self.client.infer(model, model_version=self.version, **asked)
                self.check(model, named)
                zipped = self.client.infer(
                    model,
                    request_compression_algorithm="gzip",
                    response_compression_algorithm="gzip",
                    **asked,
                )
                self.check(model, zipped)
        asked = self.request("vae-encode", binary=True)
        asked.pop("outputs")  # all of them, in binary
        result = self.client.infer("vae-encode", request_id="mine", **asked)
        self.check("vae-encode", result)
        assert result.get_response()["id"] == "mine"
        refused(
            lambda: self.client.infer(
                "vae-encode", request_compression_algorithm="deflate", **asked
            ),
            "415",
            "expected a Content-Encoding of gzip",
        )
        wrong = http.InferInput("x", [1, 2], "FP32")
        wrong.set_data_from_numpy(np.zeros((1, 2), np.float32))
        refused(lambda: self.client.infer("vae-encode", [wrong]), "422", "expected [N")
        refused(lambda: self.client.infer("nope", [wrong]), "404", "expected a model")

    def async_infer(self) -> None:
        """Ask every model, and wait for the results afterwards."""
        asked = {model: self.request(model, binary=True) for model in MODELS}
        coming = {m: self.client.async_infer(m, **asked[m]) for m in MODELS}
        for model, result in coming.items():
            self.check(model, result.get_result())

    def bodies(self) -> None:
        """Make a body, send it by hand, which is not public, and parse the response."""
        asked = self.request("vae-encode", binary=True)
        body, length = self.client.generate_request_body(
            asked["inputs"], outputs=asked["outputs"]
        )
        response = self.client._post(
            "v2/models/vae-encode/infer",
            body,
            {"Inference-Header-Content-Length": length},
            None,
        )
        head = int(response.get("Inference-Header-Content-Length"))
        result = self.client.parse_response_body(response.read(), header_length=head)
        assert isinstance(result, http.InferResult)
        self.check("vae-encode", result)

    def health(self) -> None:
        """Ask whether the server and each model are ready."""
        assert self.client.is_server_live()
        assert self.client.is_server_ready()
        for model in MODELS:
            assert self.client.is_model_ready(model)
            assert self.client.is_model_ready(model, self.version)
        assert not self.client.is_model_ready("nope")
        assert not self.client.is_model_ready(MODELS[0], "1")

    def metadata(self) -> None:
        """Read what the server and each model say of themselves."""
        assert self.client.get_server_metadata()["name"] == "vae-service"
        for model in MODELS:
            described = self.client.get_model_metadata(model)
            assert described["name"] == model
            again = self.client.get_model_metadata(model, self.version)
            assert again == described
        index = self.client.get_model_repository_index()
        assert [one["name"] for one in index] == list(MODELS)

    def plugins(self) -> None:
        """Send a header with every request."""
        assert self.client.plugin() is None
        self.client.register_plugin(auth.BasicAuth("any", "key"))
        assert self.client.plugin() is not None
        assert self.client.is_server_live()
        self.client.unregister_plugin()

    def not_supported(self) -> None:
        """Call what is an extension of Triton's: the errors have the server's text."""
        client = self.client
        for call in (
            lambda: client.get_model_config(MODELS[0]),
            lambda: client.load_model(MODELS[0]),
            lambda: client.unload_model(MODELS[0]),
            client.get_inference_statistics,
            lambda: client.get_inference_statistics(MODELS[0]),
            client.get_trace_settings,
            lambda: client.update_trace_settings(settings={"trace_rate": "1"}),
            client.get_log_settings,
            lambda: client.update_log_settings({"log_info": True}),
            client.get_system_shared_memory_status,
            lambda: client.register_system_shared_memory("a", "/a", 1),
            client.unregister_system_shared_memory,
            client.get_cuda_shared_memory_status,
            lambda: client.register_cuda_shared_memory("a", b"a", 0, 1),
            client.unregister_cuda_shared_memory,
        ):
            refused(call, "404", "")


# Each method of the client, and which of the checks above calls it.
CHECKS: dict[str, tuple[str, ...]] = {
    "infer": ("infer",),
    "async_infer": ("async_infer",),
    "bodies": ("generate_request_body", "parse_response_body"),
    "health": ("is_server_live", "is_server_ready", "is_model_ready"),
    "metadata": (
        "get_server_metadata",
        "get_model_metadata",
        "get_model_repository_index",
    ),
    "plugins": ("plugin", "register_plugin", "unregister_plugin"),
    "not_supported": (
        "get_model_config",
        "load_model",
        "unload_model",
        "get_inference_statistics",
        "get_trace_settings",
        "update_trace_settings",
        "get_log_settings",
        "update_log_settings",
        "get_system_shared_memory_status",
        "register_system_shared_memory",
        "unregister_system_shared_memory",
        "get_cuda_shared_memory_status",
        "register_cuda_shared_memory",
        "unregister_cuda_shared_memory",
    ),
}


def refused(call: Callable[[], Any], status: str, words: str) -> None:
    """Check that a call fails with the server's own text."""
    found: Any = None
    try:
        call()
    except ServerError as error:
        found = error
    assert found is not None, status
    assert found.status() == status, found
    assert words in found.message(), found
    assert "exception occurred in the client" not in found.message(), found


def main(address: str, folder: str) -> None:
    """Call every method."""
    public = {name for name in dir(http.InferenceServerClient) if name[0] != "_"}
    called = {name for names in CHECKS.values() for name in names} | {"close"}
    assert called == public, called ^ public
    calls = Calls(address.removeprefix("http://"), Path(folder))
    for check in CHECKS:
        getattr(calls, check)()
    calls.client.close()
    sys.stdout.write("\n".join(sorted(called)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
