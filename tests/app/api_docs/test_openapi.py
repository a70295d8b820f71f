"""The API document is complete, and what it shows runs."""

import re
from typing import Any

import httpx
import pytest

from app.api_docs.class_schemas import schema_of, schemas_of
from app.api_docs.problem import Problem
from app.calls.table import CALLS
from app.settings import Settings
from tests.app.served import Served

AT_THE_SOCKET = {"400", "408", "414", "431"}
ERRORS = AT_THE_SOCKET | {
    "404",
    "405",
    "406",
    "413",
    "415",
    "422",
    "429",
    "500",
    "503",
    "504",
}
SERVED = ["bernoulli", "gaussian", "conv", "plane"]
ANALYSES = {"loglik", "gap", "refine", "posterior", "anomaly", "impute"}
PATHS = {"interpolate", "traverse"}


@pytest.fixture(params=SERVED)
def served(request: pytest.FixtureRequest) -> Served:
    """Serve each kind of model in turn."""
    service: Served = request.getfixturevalue(request.param)
    return service


def operations(served: Served) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return method, path and entry of each operation id."""
    document = served.get("/openapi.json").json()
    return {
        entry["operationId"]: (method.upper(), path, entry)
        for path, item in document["paths"].items()
        for method, entry in item.items()
    }


def test_every_operation_has_a_name_that_reads_well(bernoulli: Served) -> None:
    """A generated client has methods of these names."""
    found = operations(bernoulli).keys()

    assert found == {call.id for call in CALLS if call.is_documented}
    assert {"encode", "decode", "sample", "sampleByQuery", "elbo", "model"} <= found
    assert all(re.fullmatch("[a-z]+([A-Z][a-z]+)*", name) for name in found)


@pytest.mark.slow("sends every example")
def test_every_example_runs(served: Served) -> None:
    """
    Every body and query shown is answered with 200 by the model that shows it.

    The response has every member that its schema requires, and no other than it names.
    """
    n_examples = 0
    schemas = served.get("/openapi.json").json()["components"]["schemas"]

    def check(entry: dict[str, Any], response: httpx.Response) -> None:
        assert response.status_code == 200, response.text
        ref = entry["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        schema = schemas[ref.rsplit("/", 1)[1]]
        assert response.json().keys() <= schema["properties"].keys()
        assert response.json().keys() >= set(schema["required"])

    for method, path, entry in operations(served).values():
        body = entry.get("requestBody", {}).get("content", {})
        examples = body.get("application/json", {}).get("examples", {})
        assert len({one["summary"] for one in examples.values()}) == len(examples)
        for example in examples.values():
            check(entry, served.request(method, path, json=example["value"]))
            n_examples += 1
        query = {
            parameter["name"]: parameter["example"]
            for parameter in entry.get("parameters", [])
            if "example" in parameter
        }
        if query:
            check(entry, served.request(method, path, params=query))
            n_examples += 1

    # /posterior has an example where the model has a posterior to integrate, /anomaly
    # where it has held-out scores.
    n_analyses = 4 + (served.checkpoint.config.latent_dim <= 2)
    n_analyses += served.checkpoint.calibration is not None
    # Where data are images, each call that takes x has an image for an example too.
    n_images = 3 if "x_png" in served.get("/openapi.json").text else 0
    assert n_examples == 8 + n_analyses + n_images


@pytest.mark.slow("sends each request in every format")
def test_every_operation_names_its_errors_and_types(plane: Served) -> None:
    """Each call has its media types both ways, and every error as a problem."""
    documented = plane.get("/openapi.json").json()["components"]["responses"]
    for name, (method, path, entry) in operations(plane).items():
        if entry["tags"] == ["service"]:
            continue
        errors = {
            status: answer
            for status, answer in entry["responses"].items()
            if status != "200"
        }

        assert errors.keys() == ERRORS, name
        for status, answer in errors.items():
            assert answer == {"$ref": f"#/components/responses/{status}"}
            assert documented[status]["content"].keys() == {"application/problem+json"}
        for kind in entry["responses"]["200"]["content"]:
            accepted = served_as(plane, method, path, name, kind)
            assert accepted == kind


def served_as(served: Served, method: str, path: str, name: str, kind: str) -> str:
    """Return the type that an operation answers in when asked for one."""
    bodies: dict[str, dict[str, Any] | None] = {
        "encode": {"x": [[0] * 16]},
        "decode": {"z": [[0] * 2]},
        "reconstruct": {"x": [[0] * 16]},
        "sample": {},
        "sampleByQuery": None,
        "elbo": {"x": [[0] * 16]},
        **{key: {"x": [[0] * 16]} for key in ANALYSES},
        "impute": {"x": [[0] * 16], "mask": [[1] * 16]},
        "interpolate": {"z": [[0] * 2, [1] * 2]},
        "traverse": {"x": [[0] * 16]},
    }
    response = served.request(method, path, json=bodies[name], headers={"accept": kind})
    return str(response.headers["content-type"])


def test_every_analysis_says_what_it_is_for(bernoulli: Served) -> None:
    """A paragraph each, without the indentation that Markdown takes for code."""
    for name, (_, _, entry) in operations(bernoulli).items():
        if name in ANALYSES:
            assert len(entry["description"].split()) > 60
            assert "\n    " not in entry["description"]


@pytest.mark.slow("runs every analysis")
def test_every_member_of_an_analysis_is_documented(plane: Served) -> None:
    """What is answered is exactly what the schema says, in name and in kind."""
    document = plane.get("/openapi.json").json()
    more: dict[str, dict[str, Any]] = {
        "loglik": {"upper": True},
        "impute": {"mask": [[0] * 16]},
        "interpolate": {"x": [[0] * 16] * 2},
    }
    for name in ANALYSES | PATHS:
        schema = document["components"]["schemas"][f"{name.capitalize()}Response"]
        body = {"x": [[0] * 16], **more.get(name, {})}
        answer = plane.post(f"/{name}", body).json()

        assert answer.keys() == schema["properties"].keys()


def test_references_in_the_document_lead_somewhere(served: Served) -> None:
    """Every $ref names a component that is there, and none is left over."""
    response = served.get("/openapi.json")
    components = response.json()["components"]

    wanted = {
        f'"#/components/{kind}/{name}"'
        for kind, named in components.items()
        for name in named
    }
    found = {
        part.split("}")[0].split(",")[0] for part in response.text.split('"$ref":')[1:]
    }

    assert found == wanted


def test_schemas_hold_the_sizes_of_the_model(conv: Served) -> None:
    """A client sees how long a row is, flat and shaped."""
    schemas = conv.get("/openapi.json").json()["components"]["schemas"]

    analyzed = schemas["GapRequest"]["properties"]["x"]["oneOf"][0]
    assert analyzed["maxItems"] == conv.settings.max_analysis_rows
    flat, shaped = schemas["EncodeRequest"]["properties"]["x"]["oneOf"]
    latent = schemas["DecodeRequest"]["properties"]["z"]["items"]
    assert flat["items"]["maxItems"] == 128
    assert shaped["items"]["minItems"] == 8
    assert shaped["items"]["items"]["items"]["maxItems"] == 2
    assert latent["minItems"] == latent["maxItems"] == 3


def test_the_documentation_is_a_page(bernoulli: Served) -> None:
    """A person reads the same document at /docs."""
    page = bernoulli.get("/docs")

    assert page.headers["content-type"].startswith("text/html")
    assert 'href="openapi.json"' in page.text


def test_each_form_of_a_body_is_a_schema_of_its_own(bernoulli: Served) -> None:
    """Generators make a class of each: x or images, x or z, one of them required."""
    document = bernoulli.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    forms = {
        "encode": {"EncodeRequest": "x", "EncodeXPngRequest": "x_png"},
        "elbo": {"ElboRequest": "x", "ElboXPngRequest": "x_png"},
        "reconstruct": {"ReconstructRequest": "x", "ReconstructXPngRequest": "x_png"},
        "interpolate": {"InterpolateRequest": "x", "InterpolateZRequest": "z"},
        "traverse": {"TraverseRequest": "x", "TraverseZRequest": "z"},
    }

    for name, members in forms.items():
        body = document["paths"][f"/{name}"]["post"]["requestBody"]["content"]
        refs = [ref["$ref"] for ref in body["application/json"]["schema"]["oneOf"]]
        assert [ref.rsplit("/", 1)[1] for ref in refs] == list(members)
        for schema, member in members.items():
            others = {*members.values()} - {member}
            assert schemas[schema]["required"] == [member]
            assert not others & schemas[schema]["properties"].keys()
            assert "oneOf" not in schemas[schema]


def test_a_call_that_a_model_cannot_answer_says_why(served: Served) -> None:
    """In the words of the 422 that it would get, and without an example."""
    for name, (method, path, entry) in operations(served).items():
        if not entry["summary"].endswith(" (not with this model)"):
            continue
        size = served.checkpoint.config.data_dim
        problem = served.request(method, path, json={"x": [[0] * size]}).json()

        assert name in ("posterior", "anomaly")
        assert problem["status"] == 422
        assert f"**Not with this model: {problem['detail']}.**" in entry["description"]
        assert "examples" not in entry["requestBody"]["content"]["application/json"]


def test_no_default_is_outside_its_own_schema(served: Served) -> None:
    """A list that is empty where left out has no least length."""

    def check(schema: Any) -> None:
        if isinstance(schema, list):
            for one in schema:
                check(one)
        if isinstance(schema, dict):
            if schema.get("default") == []:
                assert not schema.get("minItems"), schema
            for one in schema.values():
                check(one)

    check(served.get("/openapi.json").json()["components"])


def test_every_member_says_what_it_is(served: Served) -> None:
    """Its meaning stands with it, not in a docstring of the whole; no name is bare."""
    schemas = served.get("/openapi.json").json()["components"]["schemas"]

    bare = [
        f"{name}.{member}"
        for name, schema in schemas.items()
        for member, one in schema.get("properties", {}).items()
        if not one.get("description") and "$ref" not in one
    ]

    assert not bare
    assert not [n for n, one in schemas.items() if "Attributes:" in one["description"]]
    rows = schemas["Limits"]["properties"]["max_rows"]["description"]
    assert rows == Settings.model_fields["max_rows"].description


def test_what_one_document_changes_in_a_schema_is_in_no_other() -> None:
    """Schemas are generated once in a process, and filled in for each model."""
    whole = schema_of(Problem), schemas_of([Problem])
    schema_of(Problem).clear()
    schemas_of([Problem])["Problem"]["properties"].clear()

    assert (schema_of(Problem), schemas_of([Problem])) == whole
    assert whole[0] == Problem.model_json_schema()
