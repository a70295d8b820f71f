"""The models of the protocol: what they say of themselves is what they answer."""

from typing import Any

import numpy as np
import pytest

from app.open_inference.models import MODELS
from tests.app.open_inference.tensors import in_binary, outputs, post
from tests.app.served import Served

KINDS = ["bernoulli", "gaussian", "conv", "linear"]


@pytest.fixture(params=KINDS)
def served(request: pytest.FixtureRequest) -> Served:
    """Serve each kind of model in turn."""
    found: Served = request.getfixturevalue(request.param)
    return found


def metadata(served: Served, name: str) -> dict[str, Any]:
    """Return what a model says of itself."""
    found: dict[str, Any] = served.get(f"/v2/models/{name}").json()
    return found


def test_there_is_a_model_for_each_call_that_computes_on_rows() -> None:
    """Their names are those of the calls."""
    assert list(MODELS) == [
        "vae-encode",
        "vae-decode",
        "vae-sample",
        "vae-elbo",
        "vae-reconstruct",
    ]


@pytest.mark.parametrize("name", [n for n in MODELS if n != "vae-sample"])
def test_outputs_are_as_described(served: Served, name: str) -> None:
    """Names in order, datatypes and shapes, where -1 is the number of rows."""
    described = metadata(served, name)
    [wanted] = described["inputs"]
    row = np.full(wanted["shape"][1:], 0.0, np.float32)

    response = in_binary(served, name, wanted["name"], np.stack([row] * 3))

    found = {
        key: [values.dtype.itemsize * 8, 3, *values.shape[1:]]
        for key, values in outputs(response).items()
    }
    assert wanted["datatype"] == "FP32"
    assert found == {
        one["name"]: [int(one["datatype"][2:]), 3, *one["shape"][1:]]
        for one in described["outputs"]
        if one["name"] != "elbo_standard_error"  # needs two draws
    }
    assert all(one["shape"][0] == -1 for one in described["outputs"])


def test_samples_are_as_described(served: Served) -> None:
    """The number of rows is the one input."""
    described = metadata(served, "vae-sample")

    response = post(served, "vae-sample", {"parameters": {"n": 2}})

    assert described["inputs"] == [{"name": "n", "datatype": "INT64", "shape": [1]}]
    assert {key: list(v.shape) for key, v in outputs(response).items()} == {
        one["name"]: [2, *one["shape"][1:]] for one in described["outputs"]
    }


def test_every_model_states_its_version(bernoulli: Served) -> None:
    """It is the short name of the checkpoint."""
    version = bernoulli.checkpoint.version

    for name in MODELS:
        found = metadata(bernoulli, name)
        assert (found["name"], found["versions"]) == (name, [version])
        assert bernoulli.get(f"/v2/models/{name}/versions/{version}").json() == found


def test_only_a_standard_prior_has_terms_of_the_kl(
    bernoulli: Served, gaussian: Served
) -> None:
    """Outputs depend on the model: log_var of x belongs to a Gaussian likelihood."""
    names = {
        (served.checkpoint.config.likelihood.kind, name): [
            one["name"] for one in metadata(served, name)["outputs"]
        ]
        for served in (bernoulli, gaussian)
        for name in ("vae-decode", "vae-elbo")
    }

    assert names["bernoulli", "vae-decode"] == ["mean"]
    assert names["gaussian", "vae-decode"] == ["mean", "log_var"]
    assert "kl_per_dim" in names["bernoulli", "vae-elbo"]
