"""The JSON bodies of `/interpolate` and `/traverse`."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from app.schemas import Body, Numbers

DEFAULT_POINTS = 11

Path = Literal["straight", "great_circle"]
Scale = Literal["prior", "aggregate"]


def _split(value: Any) -> Any:
    """Return the numbers of a query parameter, `0,3`; leave all else to the schema."""
    parts = value.split(",") if isinstance(value, str) else []
    if parts and all(part.isdecimal() and len(part) <= 6 for part in parts):
        return [int(part) for part in parts]
    return [value] if type(value) is int else value


Dims = Annotated[
    list[Annotated[int, Field(ge=0)]],
    Field(json_schema_extra={"minItems": 1}),
]


class InterpolateOptions(Body):
    """What `/interpolate` may be told."""

    n: Annotated[
        int, Field(ge=2, description="Points, the first and the last are the ends.")
    ] = DEFAULT_POINTS
    path: Annotated[
        Path,
        Field(
            description="`straight` is the line; `great_circle` turns from one to the "
            "other, and its norm goes evenly from that of the one to the other's."
        ),
    ] = "great_circle"


class TraverseOptions(Body):
    """What `/traverse` may be told."""

    dims: Annotated[
        Dims | None,
        BeforeValidator(_split),
        Field(
            description="Latent dimensions to move along, the first is 0; all if left "
            "out. In the query `dims=0,3`."
        ),
    ] = None
    n: Annotated[
        int,
        Field(
            ge=1,
            description="Values per dimension: quantiles at (i + 1/2) / n.",
        ),
    ] = DEFAULT_POINTS
    scale: Annotated[
        Scale,
        Field(
            description="Of what they are quantiles: of the `prior`, or of the "
            "`aggregate` posterior, the mean of q(z|x) over rows held out of training, "
            "where the checkpoint has them."
        ),
    ] = "prior"


class InterpolateRequest(InterpolateOptions):
    """Two rows of data, or two latents."""

    x: Numbers
    z: Numbers


class TraverseRequest(TraverseOptions):
    """One row of data, or one latent."""

    x: Numbers
    z: Numbers


class InterpolateResponse(Body):
    """A path in latent space, and what is decoded along it."""

    z: Annotated[Numbers, Field(description="The points, [n, J].")]
    mean: Annotated[Numbers, Field(description="E[x|z] of each, [n, *data_shape].")]
    path: Path


class TraverseResponse(Body):
    """What each latent dimension changes, the others held."""

    z: Annotated[list[Numbers], Field(description="The points, [len(dims), n, J].")]
    mean: Annotated[
        list[Numbers],
        Field(description="E[x|z] of each, [len(dims), n, *data_shape]."),
    ]
    dims: Annotated[list[int], Field(description="The dimensions, as asked for.")]
    levels: Annotated[
        list[float],
        Field(description="Probabilities of which the values are quantiles, [n]."),
    ]
    scale: Scale
