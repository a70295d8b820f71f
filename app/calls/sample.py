"""POST and GET /sample: draws from the model, z ~ p(z) and x from p(x|z)."""

from typing import Annotated

from pydantic import Field

from app.call_parts.call import post
from app.call_parts.examples import SEED, Bodies, ExampleValues, example
from app.call_parts.fields import First, Numbers, SeedOption, SeedUsed
from app.call_parts.formats import OPTIONS_ONLY, PICTURE, ROWS_OF_DATA
from app.call_parts.row_output import RowOutput, check_orient
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import (
    AtMost,
    OnlyIf,
    Shape,
    data_shape,
    has_cells,
    latent_shape,
    max_decoded_rows,
    max_rows,
)
from app.errors import ContentTooLargeError, Fault, UnprocessableError
from app.http.reader import seed_or_random
from app.http.request import Request
from app.http.response import Response
from app.http.schema import ImageOutput, StrictObject
from app.http.writer import respond
from app.wire.negotiation import Format
from app.wire.reply import Reply
from model.option_values import Draw

MAX_TEMPERATURE = 100.0

# A response to GET may be cached, and one URL has responses in several formats. Without
# a seed every response is another.
_VARY = ((b"vary", b"accept"),)
_NOT_CACHED = (*_VARY, (b"cache-control", b"no-store"))


class SampleOptions(ImageOutput, RowOutput):
    """The options of `/sample`; a request may be empty."""

    n: Annotated[
        int, Field(ge=1, description="Number of rows."), AtMost(max_decoded_rows)
    ] = 1
    seed: SeedOption = None
    temperature: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_TEMPERATURE,
            allow_inf_nan=False,
            description="A factor for the prior's standard deviation, or for those of "
            "a mixture's components; 0 gives only means.",
        ),
    ] = 1.0
    draw: Annotated[
        Draw,
        Field(description="`mean` returns E[x|z], `sample` draws x ~ p(x|z)."),
    ] = "mean"
    complete: Annotated[
        bool,
        Field(
            description="For a table of mixed kinds: whether draws of x have no "
            "missing cells. By default they have some, if the training rows have."
        ),
        OnlyIf(has_cells),
    ] = False
    first: First = 0


class SampleRequest(SampleOptions):
    """The number of samples, and how to draw them."""


class SampleResponse(StrictObject):
    """Draws from the model."""

    x: Annotated[
        Numbers,
        Field(description="[n, *data_shape]."),
        Shape(max_rows, data_shape, has_gaps=True),
    ]
    z: Annotated[
        Numbers,
        Field(description="The latents of each row, [n, J]."),
        Shape(max_rows, latent_shape),
    ]
    seed: SeedUsed


def _examples(_: ExampleValues) -> Bodies:
    return example({"n": 2, "seed": SEED})


@post(
    "/sample",
    summary="z from the prior, x from p(x|z)",
    request=SampleRequest,
    options=SampleOptions,
    response=SampleResponse,
    reads=OPTIONS_ONLY,
    writes=(*ROWS_OF_DATA, PICTURE),
    examples=_examples,
)
async def sample(model: ServedModel, request: Request, format_: Format) -> Response:
    """Return draws from the model: z from the prior, and x from p(x|z)."""
    options = await model.reader.read_options(request, SampleOptions)
    check_orient(model, options, format_)
    picture = model.reader.picture(options.n, options, format_)
    return await respond(
        await sample_rows(model, request, options),
        format_,
        source="temperature",
        by_row=False,
        picture=picture,
        headers=_NOT_CACHED if options.seed is None else _VARY,
    )


async def sample_rows(
    model: ServedModel, request: Request, options: SampleOptions
) -> Reply:
    """Return draws from the model as named arrays, within the limits."""
    n, limit = options.n, model.settings.max_rows
    if n > limit:
        raise ContentTooLargeError(f"expected n of at most {limit}, got {n}")
    model.reserve_output(request, n)
    noise_per_row = model.config.latent_dim
    if options.draw == "sample" and model.config.likelihood.kind == "gaussian":
        noise_per_row += model.config.data_dim
    model.check_first(options.first, noise_per_row)
    if options.complete and model.config.table is None:
        what = "only for a table of mixed kinds; other models have no missing cells"
        raise UnprocessableError(Fault("/complete", what))
    seed = seed_or_random(options.seed)
    x, z = await model.compute.sample(
        n,
        seed=seed,
        temperature=options.temperature,
        draw=options.draw,
        complete=options.complete,
        first=options.first,
    )
    tensors = {"x": model.in_data_shape(x), "z": z}
    names = model.named("x")
    return Reply(
        tensors,
        {"seed": seed},
        nullable=("x",) if model.config.missing else (),
        columns=names,
        orient=options.orient,
    )


sample_by_query = sample.by_query(
    "sampleByQuery",
    summary="z and x by query parameters, as in the address of an image",
    query={"n": 2, "seed": SEED},
)
