"""The base of every part of a checkpoint's JSON files."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """
    A part of the configuration.

    Instances are frozen. Unknown keys, type coercion, NaN and infinity are rejected.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )
