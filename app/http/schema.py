"""The base class of all JSON objects, and the options for images."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_SCALE = 64


class StrictObject(BaseModel):
    """
    A JSON object with no unknown keys and no coercion.

    Attributes:
        elsewhere: Error messages for names that belong to another form of the request.
        exactly_one_of: Names of members of which a request must have exactly one.
        comma_separated: Names of lists that the query has as in `dims=0,3`.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    elsewhere: ClassVar[Mapping[str, str]] = MappingProxyType({})
    exactly_one_of: ClassVar[tuple[str, ...]] = ()
    comma_separated: ClassVar[Collection[str]] = ()


class ImageInput(StrictObject):
    """The options of calls that accept images in place of numbers."""

    elsewhere = MappingProxyType(
        {"x_png": "expected exactly one of x and x_png, where data are images"}
    )

    resize: Annotated[
        bool,
        Field(
            description="For images: resize to the model's size by averaging areas, "
            "without keeping the aspect ratio. By default, other sizes are refused."
        ),
    ] = False


class TableInput(StrictObject):
    """The option of calls that accept rows of a table of mixed kinds."""

    unknown: Annotated[
        Literal["refuse", "unseen"],
        Field(
            description="Of a table with categories: `refuse` a category that training "
            "has not seen, or take it as an `unseen` one, which has a probability too."
        ),
    ] = "refuse"


class ImageOutput(StrictObject):
    """The options of calls that can respond with a picture."""

    columns: Annotated[
        int | None,
        Field(
            ge=1,
            description="For image/png: the number of images side by side. By default, "
            "the picture is nearly square.",
        ),
    ] = None
    scale: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_SCALE,
            description="For image/png: the factor by which each pixel is enlarged.",
        ),
    ] = 1
