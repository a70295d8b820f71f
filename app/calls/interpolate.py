"""POST /interpolate: from one x or z to another through latent space."""

from typing import Annotated, Literal

from pydantic import Field

from app.call_parts.call import post
from app.call_parts.examples import Bodies, ExampleValues, example
from app.call_parts.fields import Numbers
from app.call_parts.formats import ALL_ARRAYS, NAMED_ARRAYS
from app.call_parts.latent_path import DEFAULT_POINTS, check_points, read
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import InputRows, Shape, data_shape, latent_shape, max_rows
from app.http.exchange import Request, Response
from app.http.schema import StrictObject
from app.http.writer import respond
from app.wire.negotiation import Format
from app.wire.reply import Reply
from model.engine.paths import interpolated

Path = Literal["straight", "great_circle"]


class InterpolateOptions(StrictObject):
    """The options of `/interpolate`."""

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


class InterpolateRequest(InterpolateOptions):
    """Two rows of data, or two latents."""

    exactly_one_of = ("x", "z")

    x: Annotated[Numbers, InputRows(data_shape, exactly=2)]
    z: Annotated[Numbers, InputRows(latent_shape, exactly=2)]


class InterpolateResponse(StrictObject):
    """A path in latent space, and what is decoded along it."""

    z: Annotated[
        Numbers,
        Field(description="The points, [n, J]."),
        Shape(max_rows, latent_shape),
    ]
    mean: Annotated[
        Numbers,
        Field(description="E[x|z] of each, [n, *data_shape]."),
        Shape(max_rows, data_shape),
    ]
    path: Path


def _examples(values: ExampleValues) -> Bodies:
    return example({"z": values.z_pair, "n": 3})


@post(
    "/interpolate",
    summary="From one x or z to another through latent space",
    request=InterpolateRequest,
    options=InterpolateOptions,
    response=InterpolateResponse,
    reads=NAMED_ARRAYS,
    writes=ALL_ARRAYS,
    examples=_examples,
)
async def interpolate(
    model: ServedModel, request: Request, format_: Format
) -> Response:
    """
    Answer a path from one row to another through latent space, and its data.

    Two rows of `x` are encoded, each to the mean of its q(z|x), or two rows of `z`
    are given. The first and the last point are exactly these. Between them a
    straight line passes nearer to the origin than draws of a standard normal prior
    lie, in many dimensions far nearer, where the model has learned little; a great
    circle stays out there (White 2016). Of a learned prior neither is true.
    """
    ends, options = await read(model, request, InterpolateOptions, n_rows=2)
    check_points(model, request, options.n)
    z = interpolated(ends.z, options.n, options.path)
    mean = model.in_data_shape((await model.compute.decode(z)).mean)
    reply = Reply({"z": z, "mean": mean}, {"path": options.path})
    return await respond(reply, format_, source=ends.name, by_row=False)
