"""The URLs of the protocol, and the one shape of every failure below `/v2`."""

from pathlib import Path

import numpy as np
import pytest

from app.compute.operations import Operations
from app.open_inference.models import MODELS
from app.open_inference.routes import CALLS
from app.version import service_version
from tests.app.open_inference.tensors import assert_error, in_json, post, tensor
from tests.app.served import Served, assert_problem

X = np.zeros((1, 16), np.float32)
SECRET = "the weights are in /somewhere"


def test_the_server_describes_itself(bernoulli: Served) -> None:
    """With its version and the extensions that it has."""
    assert bernoulli.get("/v2").json() == {
        "name": "vae-service",
        "version": service_version(),
        "extensions": ["binary_tensor_data"],
    }


def test_health_follows_the_life_of_the_service(checkpoints: Path) -> None:
    """Ready while it serves; alive all the time; a model is as ready as the service."""
    served = Served(checkpoints / "bernoulli")
    version = served.checkpoint.version
    paths = (
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/vae-encode/ready",
        f"/v2/models/vae-encode/versions/{version}/ready",
    )

    with served:
        during = [served.get(path) for path in paths]
    with served.stopped():
        after = [served.get(path) for path in paths]
        refused = in_json(served, "vae-encode", "x", X)

    assert [response.json() for response in during] == [
        {"live": True},
        {"ready": True},
        {"name": "vae-encode", "ready": True},
        {"name": "vae-encode", "ready": True},
    ]
    assert [response.status_code for response in after] == [200, 503, 503, 503]
    for response in (*after[1:], refused):
        assert_error(response, 503)
        assert response.headers["retry-after"] == "1"


def test_the_index_lists_the_models(bernoulli: Served) -> None:
    """Its body is optional."""
    version = bernoulli.checkpoint.version

    found = bernoulli.post_raw("/v2/repository/index", b"", {})
    ready = bernoulli.post("/v2/repository/index", {"ready": True})

    assert found.json() == [
        {"name": name, "version": version, "state": "READY", "reason": ""}
        for name in MODELS
    ]
    assert ready.content == found.content


def test_a_version_is_the_one_that_is_served(bernoulli: Served) -> None:
    """It may be named; another is not found."""
    version = bernoulli.checkpoint.version
    document = {"parameters": {"seed": 1}}
    paths = [
        f"/v2/models/vae-sample{place}/infer" for place in ("", f"/versions/{version}")
    ]

    plain, named = (bernoulli.post(path, document) for path in paths)
    other = bernoulli.post("/v2/models/vae-sample/versions/1/infer", document)

    assert plain.status_code == 200
    assert named.content == plain.content
    assert_error(other, 404, f"expected version {version}")


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "/v2/models/mnist", "expected a model of vae-encode, vae-decode"),
        ("GET", "/v2/models/mnist/ready", "expected a model of"),
        ("POST", "/v2/models/mnist/infer", "expected a model of"),
        ("POST", "/v2/models/mnist/versions/1/infer", "expected a model of"),
        ("GET", "/v2/models/vae-encode/versions/1", "expected version"),
        ("GET", "/v2/models/vae-encode/versions/{version}", "expected version"),
        ("GET", "/v2/models/{name}", "expected a model of"),
        ("GET", "/v2/models/vae-encode/config", "no resource"),
        ("GET", "/v2/nope", "no resource"),
        ("GET", "/v2/repository/models/vae-encode/load", "no resource"),
    ],
)
def test_what_is_not_there_is_not_found(
    bernoulli: Served, method: str, path: str, words: str
) -> None:
    """404 in the shape of the protocol, without the path that came."""
    text = assert_error(bernoulli.request(method, path), 404, words)

    assert "mnist" not in text


def test_other_paths_have_problem_documents(bernoulli: Served) -> None:
    """The shape is chosen by the path alone."""
    for path in ("/v20", "/v2x/models", "/vv2"):
        assert_problem(bernoulli.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v2/models/vae-encode/infer", "POST"),
        ("GET", "/v2/models/vae-encode/versions/1/infer", "POST"),
        ("POST", "/v2/models/vae-encode", "GET, HEAD"),
        ("POST", "/v2/health/live", "GET, HEAD"),
        ("DELETE", "/v2", "GET, HEAD"),
        ("GET", "/v2/repository/index", "POST"),
    ],
)
def test_another_method_is_not_allowed(
    bernoulli: Served, method: str, path: str, allowed: str
) -> None:
    """405 with the right Allow."""
    response = bernoulli.request(method, path)

    assert_error(response, 405, f"expected {allowed}")
    assert response.headers["allow"] == allowed


def test_the_head_of_a_document_has_no_body(bernoulli: Served) -> None:
    """HEAD is allowed wherever GET is."""
    response = bernoulli.request("HEAD", "/v2/models/vae-elbo")

    assert (response.status_code, response.content) == (200, b"")


def test_a_slash_too_many_leads_to_the_path(bernoulli: Served) -> None:
    """As everywhere."""
    response = bernoulli.get("/v2/")

    assert (response.status_code, response.headers["location"]) == (308, "../v2")


def test_errors_have_their_shape_behind_a_prefix(checkpoints: Path) -> None:
    """Whether a proxy removes the prefix or not."""
    with Served(checkpoints / "bernoulli", root_path="/prefix") as served:
        kept = served.get("/prefix/v2/nope")
        removed = served.get("/v2/nope")
        found = served.get("/prefix/v2/models/vae-encode")

    assert_error(kept, 404)
    assert_error(removed, 404)
    assert found.json()["name"] == "vae-encode"


def test_hosts_are_those_of_the_native_calls(checkpoints: Path) -> None:
    """421 for others, but for probes, which ask by address."""
    with Served(checkpoints / "bernoulli", allowed_hosts=("vae.example",)) as served:
        refused = served.get("/v2/models/vae-encode")
        probe = served.get("/v2/health/live")

    assert_error(refused, 421)
    assert probe.status_code == 200


def test_a_deadline_is_that_of_the_native_calls(checkpoints: Path) -> None:
    """504 when the time of the request is up."""
    document = {
        "inputs": [tensor("x", np.zeros((16_384, 16), np.float32), data=[0] * 262_144)],
        "parameters": {"n_samples": 10_000},
    }
    with Served(checkpoints / "bernoulli", max_work=1 << 40) as served:
        headers = {"x-request-timeout": "0.2"}
        late = post(served, "vae-elbo", document, headers=headers)

    assert_error(late, 504, "the response took longer than 0.2 seconds")


def test_overload_is_that_of_the_native_calls(checkpoints: Path) -> None:
    """429 with Retry-After while there is no room; probes answer."""
    url = "/v2/models/vae-sample/infer"
    with Served(checkpoints / "bernoulli", max_queue_rows=500) as served:
        long, refused, ready = served.together(
            [
                ("POST", "/encode", {"json": {"x": [[0] * 16] * 600}}),
                ("POST", url, {"json": {}}),
                ("GET", "/v2/models/vae-sample/ready", {}),
            ]
        )

    assert_error(refused, 429, "at most 500 rows")
    assert int(refused.headers["retry-after"]) >= 1
    assert (long.status_code, ready.status_code) == (200, 200)


def test_a_defect_is_a_500_that_tells_nothing(
    checkpoints: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The error has the id under which the log has the place of the defect."""

    async def broken(*_: object) -> None:
        raise KeyError(SECRET)

    monkeypatch.setattr(Operations, "encode", broken)
    with Served(checkpoints / "bernoulli") as served:
        response = in_json(served, "vae-encode", "x", X)

    text = assert_error(response, 500, response.headers["x-request-id"])
    assert SECRET not in text
    assert response.headers["x-request-id"] in caplog.text


def test_metrics_have_the_route_and_the_rows(checkpoints: Path) -> None:
    """The name of a model is a label; a version, and a name that came, never."""
    with Served(checkpoints / "bernoulli") as served:
        version = served.checkpoint.version
        post(served, "vae-sample", {"parameters": {"n": 3}})
        post(served, f"vae-sample/versions/{version}", {})
        post(served, "nope", {})
        lines = served.get("/metrics").text.splitlines()

    route = 'route="/v2/models/vae-sample/infer"'
    assert f'vae_requests_total{{{route},status="200"}} 1.0' in lines
    assert f"vae_rows_total{{{route}}} 3.0" in lines
    route = 'route="/v2/models/{name}/versions/{version}/infer"'
    assert f'vae_requests_total{{{route},status="200"}} 1.0' in lines
    route = 'route="/v2/models/{name}/infer"'
    assert f'vae_requests_total{{{route},status="404"}} 1.0' in lines
    found = [line for line in lines if line.startswith("vae_requests_total")]
    assert not any("nope" in line or version in line for line in found)


def test_the_routes_are_not_in_the_api_documentation(bernoulli: Served) -> None:
    """The protocol has a documentation of its own, and describes its models itself."""
    paths = bernoulli.get("/openapi.json").json()["paths"]

    assert {call.path for call in CALLS} & paths.keys() == set()
