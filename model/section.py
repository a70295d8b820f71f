"""The base of every part of a checkpoint's JSON files."""

import json

from pydantic import BaseModel, ConfigDict, ValidationError


class Section(BaseModel):
    """
    A part of the configuration.

    Instances are frozen. Unknown keys, type coercion, NaN and infinity are rejected.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )


def first_fault(error: ValidationError) -> str:
    """Return the place of the first fault, what is expected there and what came."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the document"
    wanted = first["msg"].replace("Input should be", "expected", 1)
    if wanted != first["msg"] and isinstance(first["input"], str | int | float):
        wanted += f", got {json.dumps(first['input'])[:80]}"
    return f"{where}: {wanted}"
