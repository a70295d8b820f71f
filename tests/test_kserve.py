"""
The manifests for KServe fit its CRDs, and name what the service has.

`kserve/crds.json` is the part of the CRDs that the manifests use, see its `origin`. It
is of the KServe Authors, under the Apache License 2.0.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.open_inference.routes import CALLS
from app.settings import Settings
from model.config import FORMAT_VERSION
from tests.test_kubernetes import FOLDER, SECONDS_TO_EXIT, of_kind, values

CRDS = json.loads((Path(__file__).parent / "kserve" / "crds.json").read_text())
KINDS = ("ServingRuntime", "InferenceService")
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}


def faults(schema: Any, value: object, at: str) -> Iterator[str]:
    """Yield what is wrong with a value, as the API server would in strict mode."""
    if schema.get("x-kubernetes-int-or-string"):
        if not re.fullmatch(schema.get("pattern", ".*"), str(value)):
            yield f"{at}: {value!r} does not match"
        return
    kind = TYPES.get(schema.get("type"))
    if kind is None:
        yield f"{at}: copy the schema of this field from the CRD"
    elif not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        yield f"{at}: expected {schema['type']}, got {value!r}"
    elif value not in schema.get("enum", [value]):
        yield f"{at}: expected one of {schema['enum']}, got {value!r}"
    elif isinstance(value, list):
        for i, one in enumerate(value):
            yield from faults(schema["items"], one, f"{at}/{i}")
    elif isinstance(value, dict) and len(schema) > 1:  # metadata has no schema
        yield from faults_of_object(schema, value, at)


def faults_of_object(schema: Any, value: dict[str, Any], at: str) -> Iterator[str]:
    """Yield what is wrong with the members of an object."""
    for name in schema.get("required", []):
        if name not in value:
            yield f"{at}/{name}: missing"
    for name, one in value.items():
        inner = schema.get("properties", {}).get(
            name, schema.get("additionalProperties")
        )
        if inner is None:
            yield f"{at}/{name}: unknown"
        else:
            yield from faults(inner, one, f"{at}/{name}")


@pytest.mark.parametrize("kind", KINDS)
def test_manifests_fit_the_crd(kind: str) -> None:
    """No field is unknown, missing or of another type."""
    definition, document = CRDS["definitions"][kind], of_kind(kind)

    assert document["apiVersion"] == f"{definition['group']}/{definition['version']}"
    assert list(faults(definition["schema"], document, "")) == []


def test_a_manifest_that_does_not_fit_is_found() -> None:
    """Or the test above would say nothing."""
    schema = CRDS["definitions"]["ServingRuntime"]["schema"]
    document = {
        "spec": {
            "containers": [{"imagee": "a", "ports": [{"containerPort": "80"}]}],
            "protocolVersions": "v2",
        }
    }

    assert set(faults(schema, document, "")) == {
        "/spec/containers/0/name: missing",
        "/spec/containers/0/imagee: unknown",
        "/spec/containers/0/ports/0/containerPort: expected integer, got '80'",
        "/spec/protocolVersions: expected array, got 'v2'",
    }


@pytest.fixture
def container() -> Any:
    """Return the container of the runtime."""
    [found] = of_kind("ServingRuntime")["spec"]["containers"]
    return found


def test_probes_ask_for_routes_of_the_protocol(container: Any) -> None:
    """On the port of the container, which is the one that the service listens on."""
    given = {one["name"]: one["value"] for one in container["env"]}
    paths = {call.path for call in CALLS if "GET" in call.methods}
    [port] = container["ports"]
    probes = [
        container[f"{name}Probe"]["httpGet"]
        for name in ("startup", "readiness", "liveness")
    ]

    settings = Settings.from_environment(given)

    assert {probe["path"] for probe in probes} <= paths
    assert [probe["path"] for probe in probes] == [
        "/v2/health/ready",
        "/v2/health/ready",
        "/v2/health/live",
    ]
    assert {probe["port"] for probe in probes} == {port["containerPort"]}
    assert settings.port == port["containerPort"] == 8080
    [scraped] = values(of_kind("ServingRuntime"), "prometheus.kserve.io/port")
    assert int(scraped) == settings.port


def test_the_service_and_the_runtime_fit_each_other() -> None:
    """Format, protocol and name; KServe mounts a checkpoint where it is looked for."""
    runtime, service = (of_kind(kind)["spec"] for kind in KINDS)
    [format_] = runtime["supportedModelFormats"]
    model = service["predictor"]["model"]
    [container] = runtime["containers"]

    assert container["name"] == "kserve-container"  # KServe finds it by this
    assert model["runtime"] == of_kind("ServingRuntime")["metadata"]["name"]
    assert model["modelFormat"]["name"] == format_["name"]
    assert format_["version"] == str(FORMAT_VERSION)
    assert [model["protocolVersion"]] == runtime["protocolVersions"] == ["v2"]
    assert {"name": "VAE_CHECKPOINT", "value": "/mnt/models"} in container["env"]


def test_the_runtime_is_as_the_deployment(container: Any) -> None:
    """The same image, rights, resources and time to finish."""
    pod = of_kind("Deployment")["spec"]["template"]["spec"]
    [other] = pod["containers"]
    given = {one["name"]: one["value"] for one in container["env"]}
    drain = float(given["VAE_DRAIN_DELAY"]) + float(given["VAE_DRAIN_TIMEOUT"])
    predictor = of_kind("InferenceService")["spec"]["predictor"]
    rights = {"runAsNonRoot", "runAsUser"}

    assert container["image"] == other["image"]
    assert container["resources"] == other["resources"]
    assert container["volumeMounts"] == other["volumeMounts"]
    assert of_kind("ServingRuntime")["spec"]["volumes"] == pod["volumes"]
    assert container["securityContext"] == {
        **other["securityContext"],
        **{name: pod["securityContext"][name] for name in rights},
    }
    assert predictor["terminationGracePeriodSeconds"] == drain + SECONDS_TO_EXIT
    assert predictor["enableServiceLinks"] is False


def test_the_folder_has_every_document() -> None:
    """Nothing in the folder is left out when it is applied."""
    folder = FOLDER / "kserve"
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]

    assert sorted([*listed, "kustomization.yaml"]) == sorted(
        path.name for path in folder.iterdir()
    )
