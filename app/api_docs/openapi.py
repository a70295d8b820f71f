"""
Generates the OpenAPI document of a served model from the table of calls.

Schemas come from the calls' pydantic models. Sizes, formats and examples come from the
calls' annotations, for the served model.
"""

from collections.abc import Collection, Mapping, Sequence

from pydantic import BaseModel

from app.api_docs import forms
from app.api_docs.class_schemas import REF, schema_of, schemas_of
from app.api_docs.problem import Problem
from app.call_parts.call import Call, available_formats
from app.call_parts.examples import ExampleValues
from app.call_parts.row_schemas import Json
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import Facts, has_images, may_be_left_out, resolve
from app.errors import MEDIA_TYPE
from app.http.public import public_paths
from app.http.schema import ImageInput, ImageOutput, TableInput
from app.settings import Settings
from app.version import service_version
from app.wire.negotiation import (
    CSV,
    JPEG,
    JSON,
    NPY,
    PARQUET,
    PNG,
    SAFETENSORS,
    Format,
    Formats,
)

TITLE = "Variational autoencoder"
DESCRIPTION = (
    "A variational autoencoder over HTTP: q(z|x), p(x|z), samples, and the ELBO per "
    "example, in nats; and longer analyses: log p(x), the gap of the encoder, and the "
    "posterior. Arrays are batch-first: N rows of D values, or of J latent dimensions; "
    "K is a number of draws. Every stochastic response is a function of the "
    "checkpoint, the request and its seed."
)

_ERRORS = {
    "400": "Not a valid HTTP/1.1 request, or an ambiguous one",
    "404": "No such path",
    "405": "The path exists, but not with this method; see Allow",
    "406": "The response is not available in an accepted format",
    "408": "The head or the body came too slowly",
    "413": "Body, batch, output or work over a limit",
    "414": "The target is over the limit of a head",
    "415": "The body's type or encoding is not supported",
    "422": "The body or the query is invalid; errors have JSON pointers",
    "429": "Too much work at a time; try again after Retry-After seconds",
    "431": "The headers or trailers are over a limit",
    "500": "A bug in the service",
    "503": "Loading, draining or full; try again after Retry-After seconds",
    "504": "The response took longer than the setting or X-Request-Timeout allows",
}
_ACCESS_ERRORS = {
    "401": "No valid key; WWW-Authenticate names the scheme",
    "421": "The service does not answer for this host",
}
_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer"},
    "password": {
        "type": "http",
        "scheme": "basic",
        "description": "The key as the password, with any user name; not cross-site.",
    },
}
_GET_ERRORS = ("400", "404", "405", "408", "414", "431", "500", "503")
_NOT_AVAILABLE = "Not with this model"
_ONE_IMAGE = (
    "One image, opaque, of the model's size. A pixel v of 8 bits is the value v / 255, "
    "of 16 bits v / 65535. Gray becomes RGB; RGB becomes gray if it has no colors."
)
_OTHERS_READ = {
    PNG: _ONE_IMAGE,
    JPEG: _ONE_IMAGE,
    CSV: "Rows under a line with the names of their columns, in any order, as RFC 4180 "
    "says and in UTF-8. A number has a decimal point. Options are query parameters.",
    PARQUET: "Plain columns of numbers, texts and truth values under their names, in "
    "any order; null is a missing cell. Options are query parameters.",
}
_OTHERS_WRITTEN = {
    CSV: "A line for each row, under the names of its columns. Rows of data are alone, "
    "and their draws are rows. Other arrays stand side by side: one value per row is a "
    "column of the member's name, several are columns such as `mu.0` or `mean.height`. "
    "The seed is in the header `vae-seed`.",
    PARQUET: "A table with the columns that text/csv has: numbers, words as "
    "dictionaries, truth values, and null where CSV has an empty cell. The seed is in "
    "the header `vae-seed`.",
    PNG: "The images of the main array side by side, 8 bits per channel. A value v "
    "is the pixel 255 v, rounded, with v clipped to [0, 1].",
}
_BINARY = {
    SAFETENSORS: "Tensors with the names of the JSON members, of numbers or booleans; "
    "`divisors` in `/model` says which integers are divided. Scalars are strings in "
    "`__metadata__` in responses, and query parameters in requests.",
    NPY: "One array of numbers or booleans, in either byte order, in C or Fortran "
    "order; `divisors` in `/model` says which integers are divided. Scalars are query "
    "parameters in requests; responses have the seed in the header `vae-seed`.",
}


def document(calls: Sequence[Call], model: ServedModel) -> Json:
    """Return the OpenAPI document for one served model."""
    documented = [call for call in calls if call.is_documented]
    values = ExampleValues(model.engine, model.reader.images)
    paths: Json = {}
    for call in documented:
        method = call.methods[0].lower()
        operation = _operation(call, model.facts, values)
        paths.setdefault(call.path, {})[method] = operation
    api: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "description": DESCRIPTION,
            "version": service_version(),
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(documented, model.facts),
            "responses": _problems(_ERRORS),
        },
    }
    _add_access(api, model.settings)
    return api


def _add_access(api: Json, settings: Settings) -> None:
    """Add what the access checks require, and their errors."""
    has_keys, has_hosts = settings.api_keys_file is not None, settings.allowed_hosts
    statuses = [*(["401"] if has_keys else []), *(["421"] if has_hosts else [])]
    api["components"]["responses"].update(
        _problems({status: _ACCESS_ERRORS[status] for status in statuses})
    )
    if has_keys:
        api["components"]["securitySchemes"] = _SCHEMES
        api["security"] = [{name: []} for name in _SCHEMES]
    public = public_paths(settings)
    for path, item in api["paths"].items():
        for entry in item.values():
            is_public = has_keys and path in public
            entry.update({"security": []} if is_public else {})
            _add_errors(entry, [s for s in statuses if not (is_public and s == "401")])


def _operation(call: Call, facts: Facts, values: ExampleValues) -> Json:
    """Return the entry of one call."""
    entry: Json = {
        "tags": [call.tag],
        "summary": call.summary,
        "description": call.description,
        "operationId": call.id,
    }
    why_not = call.why_not(values.checkpoint)
    if why_not:
        entry["summary"] += " (not with this model)"
        entry["description"] = f"**{_NOT_AVAILABLE}: {why_not}.**\n\n{call.description}"
    if call.options is not None:
        entry["parameters"] = _parameters(call.options, facts, call.query or {})
    entry["responses"] = {"200": _success(call, facts)}
    if call.request is not None:
        body = _contents(
            call.request, available_formats(call.reads, facts), _OTHERS_READ
        )
        body[JSON.name]["schema"] = _any_of(forms.names(call.request, facts))
        if not why_not and (examples := call.examples(values)):
            body[JSON.name]["examples"] = {
                name: {"value": example, "summary": name}
                for name, example in examples.items()
            }
        required = bool(schema_of(call.request).get("required"))
        entry["requestBody"] = {"required": required, "content": body}
    _add_errors(entry, _GET_ERRORS if call.tag == "service" else tuple(_ERRORS))
    return entry


def _success(call: Call, facts: Facts) -> Json:
    if call.response is None:
        content: Json = {"text/plain": {"schema": {"type": "string"}}}
        return {"description": call.summary, "content": content}
    writes = available_formats(call.writes, facts) or (JSON,)
    return {
        "description": call.response.__doc__ or "",
        "content": _contents(call.response, writes, _OTHERS_WRITTEN),
    }


def _contents(
    schema: type[BaseModel], formats: Formats, words: Mapping[Format, str]
) -> Json:
    contents: Json = {}
    for format_ in formats:
        if format_ is JSON:
            contents[format_.name] = {"schema": _ref(schema.__name__)}
        else:
            other = {
                "type": "string",
                **({} if format_ is CSV else {"format": "binary"}),
                "description": words.get(format_) or _BINARY[format_],
            }
            contents[format_.name] = {"schema": other}
    return contents


def _parameters(
    options: type[BaseModel], facts: Facts, examples: Mapping[str, int]
) -> list[Json]:
    properties = schema_of(options).get("properties", {})
    _remove_others(options, properties, facts)
    resolve(options, properties, facts)
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema.pop("description", ""),
            "schema": schema,
            **({"example": examples[name]} if name in examples else {}),
        }
        for name, schema in properties.items()
    ]


def _add_errors(entry: Json, statuses: Sequence[str]) -> None:
    for status in statuses:
        entry["responses"][status] = {"$ref": f"#/components/responses/{status}"}
    entry["responses"] = dict(sorted(entry["responses"].items()))


def _problems(descriptions: Mapping[str, str]) -> Json:
    """Return error responses by status, for references from operations."""
    content = {MEDIA_TYPE.decode(): {"schema": _ref(Problem.__name__)}}
    return {
        status: {"description": description, "content": content}
        for status, description in descriptions.items()
    }


def bodies(calls: Sequence[Call]) -> Sequence[type[BaseModel]]:
    """Return the models of all responses and requests."""
    found = [Problem, *(call.response for call in calls), *(c.request for c in calls)]
    return list(dict.fromkeys(model for model in found if model is not None))


def _schemas(calls: Sequence[Call], facts: Facts) -> Json:
    """Return the schemas of all bodies, with the sizes for this model."""
    models = bodies(calls)
    schemas = schemas_of(models)
    for model in models:
        schema = schemas[model.__name__]
        properties = schema.get("properties", {})
        _remove_others(model, properties, facts)
        resolve(model, properties, facts)
        required = properties.keys() - may_be_left_out(model, facts)
        if "required" in schema:
            schema["required"] = [n for n in schema["required"] if n in required]
        schemas.update(forms.split(model, schemas.pop(model.__name__), facts))
    return dict(sorted(schemas.items()))


def _remove_others(model: type[BaseModel], properties: Json, facts: Facts) -> None:
    """Remove the options for images, and for tables, if the data are not such."""
    names: Collection[str] = ()
    if facts.table is None and issubclass(model, TableInput):
        properties.pop("unknown", None)
    if not has_images(facts):
        for images in (ImageInput, ImageOutput):
            names = images.model_fields if issubclass(model, images) else ()
            for name in names:
                properties.pop(name, None)


def _any_of(names: Sequence[str]) -> Json:
    """Return a reference to a schema, or to one of several."""
    refs = [_ref(name) for name in names]
    return refs[0] if len(refs) == 1 else {"oneOf": refs}


def _ref(name: str) -> Json:
    return {"$ref": REF.format(model=name)}
