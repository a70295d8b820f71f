"""POST /reconstruct: x encoded and decoded."""

from typing import Annotated

import numpy as np
from pydantic import Field

from app.call_parts.call import post
from app.call_parts.examples import with_x_or_image
from app.call_parts.fields import First, Numbers, SeedOption
from app.call_parts.formats import DATA_OR_IMAGES, PICTURE, ROWS_OF_DATA
from app.call_parts.row_output import RowOutput, check_orient
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import (
    AtMost,
    InputRows,
    ShapeOrDraws,
    data_shape,
    max_decoded_rows,
    max_rows,
)
from app.compute.threads import run_in_thread_if_large
from app.errors import ContentTooLargeError
from app.http.reader import seed_or_random
from app.http.request import Request
from app.http.response import Response
from app.http.schema import ImageInput, ImageOutput, StrictObject, TableInput
from app.http.writer import respond
from app.wire.layout import Array, Rows
from app.wire.negotiation import Format
from app.wire.reply import Reply
from model.engine import Encoding
from model.noise import Stream


class ReconstructOptions(ImageInput, ImageOutput, RowOutput, TableInput):
    """The options of `/reconstruct`."""

    n_samples: Annotated[
        int,
        Field(
            ge=0,
            description="K, draws of z ~ q(z|x) per example, each decoded; 0 to decode "
            "the mean of q(z|x) instead.",
        ),
        AtMost(max_decoded_rows),
    ] = 0
    seed: SeedOption = None
    first: First = 0


class ReconstructRequest(ReconstructOptions):
    """Data to encode and decode."""

    x: Annotated[Numbers, InputRows(data_shape, max_decoded_rows)]


class ReconstructResponse(StrictObject):
    """E[x|z] of each example, with z from its q(z|x)."""

    x: Annotated[
        Numbers | list[Numbers],
        Field(
            description="E[x|z = mu(x)], [N, *data_shape]; with n_samples, E[x|z] of "
            "each draw, [N, K, *data_shape]."
        ),
        ShapeOrDraws(max_rows, data_shape),
    ]
    seed: Annotated[
        int | None, Field(default=None, description="The seed used; only with draws.")
    ]


@post(
    "/reconstruct",
    summary="x to q(z|x) and back: E[x|z]",
    request=ReconstructRequest,
    options=ReconstructOptions,
    response=ReconstructResponse,
    reads=DATA_OR_IMAGES,
    writes=(*ROWS_OF_DATA, PICTURE),
    examples=with_x_or_image,
)
async def reconstruct(
    model: ServedModel, request: Request, format_: Format
) -> Response:
    """
    Return the reconstruction of each row of x: encoded, then decoded.

    By default z is the mean of q(z|x), so the result is not random. With `n_samples` K,
    z is drawn K times from q(z|x), which shows the uncertainty of the encoding. E[x|z]
    is the mean of p(x|z); for images it is the picture to look at.
    """
    x, options = await model.reader.read(request, model.reader.x, ReconstructOptions)
    check_orient(model, options, format_)
    n_pictures = len(x.values) * max(1, options.n_samples)
    picture = model.reader.picture(n_pictures, options, format_)
    reply = await reconstruct_rows(model, request, x, options)
    if picture is not None:
        reply = reply._replace(tensors={"x": model.in_data_shape(reply.main)})
    return await respond(reply, format_, source="x", picture=picture)


async def reconstruct_rows(
    model: ServedModel, request: Request, x: Rows, options: ReconstructOptions
) -> Reply:
    """Return the reconstructions as a named array, within the limits."""
    n_rows, n_samples = len(x.values), options.n_samples
    n_decoded = n_rows * max(1, n_samples)
    limit = model.settings.max_rows
    if n_decoded > limit:
        raise ContentTooLargeError(
            f"expected at most {limit} rows, got {n_rows} with {n_samples} draws each"
        )
    model.reserve_output(request, n_decoded)
    model.check_first(options.first, max(1, n_samples) * model.config.latent_dim)
    names = model.named("x")
    q_z = await model.compute.encode(x.values)
    if n_samples == 0:
        mean = model.in_data_shape((await model.compute.decode(q_z.mu)).mean)
        return Reply({"x": mean}, columns=names, orient=options.orient)
    seed = seed_or_random(options.seed)
    shape = (n_rows, n_samples, model.config.latent_dim)
    eps = await model.compute.noise.draw(
        shape, seed=seed, stream=Stream.RECONSTRUCTION, first=options.first
    )
    z = await run_in_thread_if_large(eps.size, _latents, q_z, eps)
    mean = (await model.compute.decode(z.reshape(n_decoded, -1))).mean
    tensors = {"x": mean.reshape(n_rows, n_samples, *model.config.data_shape)}
    return Reply(tensors, {"seed": seed}, columns=names, orient=options.orient)


def _latents(q_z: Encoding, eps: Array) -> Array:
    """Return z ~ q(z|x), (N, K, J), for noise of that shape."""
    sigma = np.exp(0.5 * q_z.log_var)
    z: Array = q_z.mu[:, None] + sigma[:, None] * eps
    return z
