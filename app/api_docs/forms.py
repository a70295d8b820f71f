"""
Schemas of bodies with exactly one of several members: x or z, or x or images.

Each variant gets its own schema. One schema with `oneOf` around its required members
would be equivalent, but client generators read it as a body of any kind.
"""

from collections.abc import Sequence

from pydantic import BaseModel

from app.call_parts.row_schemas import Json
from app.call_parts.shapes import Facts, has_images
from app.http.schema import ImageInput

_X_PNG = "x_png"
_DATA_URL = {"type": "string", "pattern": "^data:image/(png|jpeg);base64,"}
_DATA_URLS = {
    "oneOf": [_DATA_URL, {"type": "array", "minItems": 1, "items": _DATA_URL}],
    "description": (
        "Images in place of x, as data URLs: PNG or JPEG in base64, one or a list. "
        "A pixel v of 0 to 255 is the value v / 255."
    ),
}


def names(model: type[BaseModel], facts: Facts) -> Sequence[str]:
    """Return the names of a body's schemas, one per variant."""
    members = _members(model, facts)
    return [_name(model, form, members) for form in members] or [model.__name__]


def split(model: type[BaseModel], schema: Json, facts: Facts) -> Json:
    """Split a schema with all members into one schema per variant, by name."""
    members = _members(model, facts)
    if not members:
        return {model.__name__: schema}
    properties = {**schema["properties"], _X_PNG: _DATA_URLS}
    shared = properties.keys() - {_X_PNG, *members}
    return {
        _name(model, form, members): {
            **schema,
            "title": _name(model, form, members),
            "properties": {
                name: value
                for name, value in properties.items()
                if name in shared or name == form
            },
            "required": [form, *shared.intersection(schema.get("required", ()))],
        }
        for form in members
    }


def _members(model: type[BaseModel], facts: Facts) -> tuple[str, ...]:
    """Return the members of which a body must have exactly one."""
    takes_images = issubclass(model, ImageInput) and "x" in model.model_fields
    if takes_images and has_images(facts):
        return ("x", _X_PNG)
    exactly_one_of: tuple[str, ...] = getattr(model, "exactly_one_of", ())
    return exactly_one_of


def _name(model: type[BaseModel], form: str, members: Sequence[str]) -> str:
    """Return EncodeRequest for the first variant, EncodeXPngRequest for x_png."""
    if form == members[0]:
        return model.__name__
    word = "".join(part.capitalize() for part in form.split("_"))
    return model.__name__.replace("Request", f"{word}Request")
