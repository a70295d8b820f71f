"""
The JSON schemas of the calls' pydantic models, without the sizes of a served model.

They depend on the code alone and take longer to generate than the rest of the OpenAPI
document, so they are generated once in a process, not at every load of a checkpoint.
Each caller gets a copy of its own, which it may change.
"""

from collections.abc import Sequence
from functools import cache

import orjson
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.call_parts.row_schemas import Json
from model import docstrings

REF = "#/components/schemas/{model}"


def schema_of(model: type[BaseModel]) -> Json:
    """Return the schema of a model, with definitions of its own."""
    schema: Json = orjson.loads(_schema(model))
    return schema


def schemas_of(models: Sequence[type[BaseModel]]) -> Json:
    """Return the schemas of models and of what they contain by name."""
    schemas: Json = orjson.loads(_schemas(tuple(models)))
    return schemas


@cache
def _schema(model: type[BaseModel]) -> bytes:
    return orjson.dumps(model.model_json_schema())


@cache
def _schemas(models: tuple[type[BaseModel], ...]) -> bytes:
    _, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=REF
    )
    for schema in definitions["$defs"].values():
        _describe_members(schema)
    return orjson.dumps(definitions["$defs"])


def _describe_members(schema: Json) -> None:
    """
    Move the section `Attributes` of a docstring to the members that it describes.

    Sections of a checkpoint's files, such as `Figure`, are described in this way.
    """
    docstring = schema.get("description", "")
    for name, text in docstrings.attributes(docstring).items():
        schema["properties"][name].setdefault("description", text)
    if docstring:
        schema["description"] = docstrings.summary(docstring)
