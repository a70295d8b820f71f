"""
The OpenAPI document of a served model: the framework's, with what only we know put in.

The framework describes routes by their functions' signatures; operations read bytes
themselves, so their bodies, media types, sizes, errors and examples are written here,
from the same `Operation` that answers.
"""

from collections.abc import Container, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.api_docs.examples import Examples
from app.api_docs.sizes import put_examples, put_maxima, put_sizes
from app.card import Card
from app.errors import MEDIA_TYPE
from app.operation_routes import Operation
from app.schemas import ImageInput, ImageOutput, Problem
from app.settings import Settings
from app.wire.negotiation import JPEG, JSON, NPY, PNG, SAFETENSORS, Format, Formats

DESCRIPTION = (
    "A variational autoencoder behind HTTP: q(z|x), p(x|z), samples, and the ELBO "
    "per example, in nats; and analyses that take longer: log p(x), what the encoder "
    "costs, and the posterior. Arrays are batch first. Every stochastic answer is a "
    "function of the checkpoint, the request and its seed."
)

Json = dict[str, Any]

_ERRORS = {
    "400": "No request of HTTP/1.1, or one that can be read as two",
    "404": "No such path",
    "405": "The path exists for other methods; Allow names them",
    "406": "The answer cannot be had in an accepted type",
    "408": "The head or the body came too slowly",
    "413": "Body, batch, output or work over a limit",
    "414": "The target is over the limit of a head",
    "415": "The body's type or encoding cannot be read",
    "422": "A fault in the body or the query, with JSON pointers",
    "429": "As much is in hand as is taken; Retry-After says when to ask again",
    "431": "The headers or trailers are over a limit",
    "500": "A defect of the service",
    "503": "Loading, draining or full; Retry-After says when to ask again",
    "504": "The answer took longer than the setting or X-Request-Timeout allows",
}
_ERRORS_OF_GUARDS = {
    "401": "No key that is known; WWW-Authenticate names the scheme",
    "421": "For a host that is not served here",
}
_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer"},
    "password": {
        "type": "http",
        "scheme": "basic",
        "description": "The key is the password, of any user; not from other sites.",
    },
}
_ERRORS_OF_READS = ("400", "404", "405", "408", "414", "431", "500", "503")
_REF = "#/components/schemas/{model}"
_X_PNG = (
    "Images in place of x, as data URLs: PNG or JPEG in base64, one or a list. A pixel "
    "v of 0 to 255 is the value v / 255."
)
_ONE_IMAGE = (
    "One image, opaque, 8 bits per channel, of the model's size. A pixel v of 0 to 255 "
    "is the value v / 255. Grey becomes RGB; RGB becomes grey if it has no colours."
)
_BINARY_READ = {PNG: _ONE_IMAGE, JPEG: _ONE_IMAGE}
_BINARY_WRITTEN = {
    PNG: "The images of the main array side by side, 8 bits per channel. A value v "
    "is the pixel 255 v, rounded, with v clipped to [0, 1].",
}
_BINARY = {
    SAFETENSORS: "Tensors by the names of the JSON members; scalars are strings "
    "in `__metadata__` on the way out, query parameters on the way in.",
    NPY: "One array, little-endian float in C order; scalars are query "
    "parameters, and the seed comes back in the header `vae-seed`.",
}


def document(
    app: FastAPI, operations: Sequence[Operation], card: Card, examples: Examples
) -> Json:
    """Return the whole document for one served model."""
    api = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
    )
    schemas = api["components"]["schemas"]
    schemas.update(_schemas(operations, card))
    put_examples(schemas, card)
    api["components"]["responses"] = _problems(_ERRORS)
    for item in api["paths"].values():
        for entry in item.values():
            _add_errors(entry, _ERRORS_OF_READS)
    for operation in operations:
        for method in operation.methods:
            entry = api["paths"][operation.path].get(method.lower())
            if entry is not None:
                entry.update(_described(operation, card, examples))
                _add_errors(entry, tuple(_ERRORS))
    return api


def guarded(document: Json, settings: Settings, *, public: Container[str]) -> Json:
    """Return a document that says what a request must have, besides, to pass."""
    has_keys, has_hosts = settings.api_keys_file is not None, settings.allowed_hosts
    statuses = [*(["401"] if has_keys else []), *(["421"] if has_hosts else [])]
    components = document["components"]
    components["responses"].update(
        _problems({status: _ERRORS_OF_GUARDS[status] for status in statuses})
    )
    if has_keys:
        components["securitySchemes"] = _SCHEMES
        document["security"] = [{name: []} for name in _SCHEMES]
    for path, item in document["paths"].items():
        for entry in item.values():
            is_open = has_keys and path in public
            entry.update({"security": []} if is_open else {})
            _add_errors(entry, [s for s in statuses if not (is_open and s == "401")])
    return document


def _described(operation: Operation, card: Card, examples: Examples) -> Json:
    """Return parameters, body and answer of an operation."""
    described: Json = {
        "parameters": _parameters(operation, card, examples),
        "responses": {
            "200": {
                "description": operation.response.__doc__,
                "content": _contents(
                    operation.response, operation.writable, _BINARY_WRITTEN
                ),
            }
        },
    }
    if operation.request is not None:
        body = _contents(operation.request, operation.readable, _BINARY_READ)
        if bodies := examples.bodies(operation.id):
            body[JSON.name]["examples"] = {
                name: {"value": example, "summary": "Runs as it stands"}
                for name, example in bodies.items()
            }
        required = bool(operation.request.model_json_schema().get("required"))
        described["requestBody"] = {"required": required, "content": body}
    return described


def _contents(
    schema: type[BaseModel], formats: Formats, words: dict[Format, str]
) -> Json:
    contents: Json = {}
    for format_ in formats:
        if format_ is JSON:
            contents[format_.name] = {"schema": _ref(schema)}
        else:
            binary = {
                "type": "string",
                "format": "binary",
                "description": words.get(format_) or _BINARY[format_],
            }
            contents[format_.name] = {"schema": binary}
    return contents


def _parameters(operation: Operation, card: Card, examples: Examples) -> list[Json]:
    properties = operation.options.model_json_schema()["properties"]
    put_maxima(properties, operation.id, card)
    parameters: list[Json] = []
    for name, schema in properties.items():
        parameter: Json = {
            "name": name,
            "in": "query",
            "required": False,
            "schema": schema,
            "description": schema.pop("description", ""),
        }
        example = examples.parameter(operation.id, name)
        if example is not None:
            parameter["example"] = example
        parameters.append(parameter)
    return parameters


def _add_errors(entry: Json, statuses: Sequence[str]) -> None:
    for status in statuses:
        entry["responses"][status] = {"$ref": f"#/components/responses/{status}"}
    entry["responses"] = dict(sorted(entry["responses"].items()))


def _problems(descriptions: Mapping[str, str]) -> Json:
    """Return errors, by their status, for operations to refer to."""
    content = {MEDIA_TYPE.decode(): {"schema": _ref(Problem)}}
    return {
        status: {"description": description, "content": content}
        for status, description in descriptions.items()
    }


def _schemas(operations: Sequence[Operation], card: Card) -> Json:
    """Return the schemas of all bodies, with the sizes of this model."""
    models: list[type[BaseModel]] = [Problem]
    for operation in operations:
        models += [operation.response]
        models += [operation.request] if operation.request is not None else []
    _, definitions = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(models)], ref_template=_REF
    )
    schemas: Json = definitions["$defs"]
    put_sizes(schemas, card)
    for operation in operations:
        if operation.request is not None:
            body = schemas[operation.request.__name__]
            put_maxima(body["properties"], operation.id, card)
            _put_images(body, operation)
    return schemas


def _put_images(schema: Json, operation: Operation) -> None:
    """Add to a body's schema what belongs to images, where they are read or written."""
    members = schema["properties"]
    if PNG in operation.readable:
        one = {"type": "string", "pattern": "^data:image/(png|jpeg);base64,"}
        many = {"type": "array", "minItems": 1, "items": one}
        members["x_png"] = {"oneOf": [one, many], "description": _X_PNG}
        members.update(ImageInput.model_json_schema()["properties"])
        schema["oneOf"] = [{"required": ["x"]}, {"required": ["x_png"]}]
        del schema["required"]
    if PNG in operation.writable:
        members.update(ImageOutput.model_json_schema()["properties"])


def _ref(schema: type[BaseModel]) -> Json:
    return {"$ref": _REF.format(model=schema.__name__)}
