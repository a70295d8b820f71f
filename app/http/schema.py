"""The base of every JSON object that is read or written, and options of images."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

MAX_SCALE = 64


class StrictObject(BaseModel):
    """
    A JSON object with no unknown keys and no coercion.

    Attributes:
        elsewhere: Error messages for names that belong to another form of the request.
        exactly_one_of: Names of which a request has exactly one.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    elsewhere: ClassVar[Mapping[str, str]] = MappingProxyType({})
    exactly_one_of: ClassVar[tuple[str, ...]] = ()


class ImageInput(StrictObject):
    """The option of calls that take images in place of numbers."""

    elsewhere = MappingProxyType(
        {"x_png": "expected exactly one of x and x_png, where data are images"}
    )

    resize: Annotated[
        bool,
        Field(
            description="For images: average areas to the model's size, without "
            "keeping proportions; else another size is refused."
        ),
    ] = False


class ImageOutput(StrictObject):
    """The options of calls that answer with a picture."""

    columns: Annotated[
        int | None,
        Field(
            ge=1,
            description="For image/png: images side by side; as many as make the "
            "picture nearly square if it is left out.",
        ),
    ] = None
    scale: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_SCALE,
            description="For image/png: the side of the square that shows a pixel.",
        ),
    ] = 1
