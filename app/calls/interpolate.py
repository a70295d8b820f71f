"""POST /interpolate: a path in latent space from one x or z to another."""

import asyncio
from typing import Annotated, Literal

from pydantic import Field

from app.call_parts.call import post
from app.call_parts.examples import Bodies, ExampleValues, example
from app.call_parts.fields import Numbers
from app.call_parts.formats import ALL_ARRAYS, NAMED_ARRAYS
from app.call_parts.latent_path import DEFAULT_POINTS, check_points, read
from app.call_parts.row_output import RowOutput, check_orient
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import InputRows, Shape, data_shape, latent_shape, max_rows
from app.http.request import Request
from app.http.response import Response
from app.http.schema import StrictObject, TableInput
from app.http.writer import respond
from app.wire.negotiation import Format
from app.wire.reply import Reply
from model.engine.paths import path_between

Path = Literal["straight", "great_circle"]


class InterpolateOptions(RowOutput, TableInput):
    """The options of `/interpolate`."""

    n: Annotated[
        int, Field(ge=2, description="Number of points, including both ends.")
    ] = DEFAULT_POINTS
    path: Annotated[
        Path,
        Field(
            description="`straight` is a straight line; `great_circle` rotates from "
            "one end to the other, while the norm changes linearly."
        ),
    ] = "great_circle"


class InterpolateRequest(InterpolateOptions):
    """Two rows of data, or two latents."""

    exactly_one_of = ("x", "z")

    x: Annotated[Numbers, InputRows(data_shape, exactly=2)]
    z: Annotated[Numbers, InputRows(latent_shape, exactly=2)]


class InterpolateResponse(StrictObject):
    """A path in latent space, decoded."""

    z: Annotated[
        Numbers,
        Field(description="The points, [n, J]."),
        Shape(max_rows, latent_shape),
    ]
    mean: Annotated[
        Numbers,
        Field(description="E[x|z] at each point, [n, *data_shape]."),
        Shape(max_rows, data_shape),
    ]
    path: Annotated[Path, Field(description="The path, as requested.")]


def _examples(values: ExampleValues) -> Bodies:
    return example({"z": values.z_pair, "n": 3})


@post(
    "/interpolate",
    summary="A path in latent space from one x or z to another",
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
    Return a path in latent space from one row to another, decoded.

    The ends are two rows of `x`, each encoded to the mean of its q(z|x), or two rows of
    `z`. They are exactly the first and the last point. A straight line between them
    passes closer to the origin than draws from a standard normal prior, in many
    dimensions much closer, where the model has learned little; a great circle avoids
    that (White 2016). For a learned prior neither statement holds.
    """
    ends, options = await read(model, request, InterpolateOptions, n_rows=2)
    check_orient(model, options, format_)
    check_points(model, request, options.n)
    z = await asyncio.to_thread(path_between, ends.z, options.n, options.path)
    mean = model.in_data_shape((await model.compute.decode(z)).mean)
    names = model.named("mean")
    reply = Reply(
        {"z": z, "mean": mean},
        {"path": options.path},
        columns=names,
        orient=options.orient,
    )
    return await respond(reply, format_, source=ends.name, by_row=False)
