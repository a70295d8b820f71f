"""POST /encode: x to q(z|x), a diagonal Gaussian for each example."""

from typing import Annotated

from pydantic import Field

from app.call_parts.call import post
from app.call_parts.examples import with_x_or_image
from app.call_parts.fields import Numbers
from app.call_parts.formats import BY_ROW, DATA_OR_IMAGES
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import InputRows, Shape, data_shape, latent_shape, max_rows
from app.http.request import Request
from app.http.response import Response
from app.http.schema import ImageInput, StrictObject, TableInput
from app.http.writer import respond
from app.wire.layout import Rows
from app.wire.negotiation import Format
from app.wire.reply import Reply


class EncodeOptions(ImageInput, TableInput):
    """The options of `/encode`: those of images in the request."""


class EncodeRequest(EncodeOptions):
    """Data to encode."""

    x: Annotated[Numbers, InputRows(data_shape)]


class EncodeResponse(StrictObject):
    """q(z|x), a diagonal Gaussian per example."""

    mu: Annotated[
        Numbers, Field(description="Means, [N, J]."), Shape(max_rows, latent_shape)
    ]
    log_var: Annotated[
        Numbers,
        Field(description="log sigma^2, [N, J]."),
        Shape(max_rows, latent_shape),
    ]


@post(
    "/encode",
    summary="x to q(z|x)",
    request=EncodeRequest,
    options=EncodeOptions,
    response=EncodeResponse,
    reads=DATA_OR_IMAGES,
    writes=BY_ROW,
    examples=with_x_or_image,
)
async def encode(model: ServedModel, request: Request, format_: Format) -> Response:
    """Return the parameters of q(z|x) for each row of x."""
    x, _ = await model.reader.read(request, model.reader.x, EncodeOptions)
    return await respond(await encode_rows(model, x), format_, source="x")


async def encode_rows(model: ServedModel, x: Rows) -> Reply:
    """Return the parameters of q(z|x) as named arrays."""
    encoding = await model.compute.encode(x.values)
    return Reply({"mu": encoding.mu, "log_var": encoding.log_var})
