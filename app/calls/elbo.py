"""POST /elbo: a lower bound on log p(x) of each example, with its terms, in nats."""

from typing import Annotated, Literal

from pydantic import Field

from app.call_parts.call import post
from app.call_parts.examples import SEED, Bodies, ExampleValues, with_x_or_image
from app.call_parts.fields import (
    BinarizeOption,
    BinarizeUsed,
    First,
    Numbers,
    SeedOption,
    SeedUsed,
    Values,
)
from app.call_parts.formats import BY_ROW, DATA_OR_IMAGES
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import (
    AtMost,
    InputRows,
    OnlyIf,
    Shape,
    data_shape,
    has_standard_prior,
    latent_shape,
    max_rows,
)
from app.errors import ContentTooLargeError, Fault, UnprocessableError, number
from app.http.reader import seed_or_random
from app.http.request import Request
from app.http.response import Response
from app.http.schema import ImageInput, StrictObject, TableInput
from app.http.writer import respond
from app.wire.layout import Rows
from app.wire.negotiation import Format
from app.wire.reply import Reply
from model.engine.support import OutsideSupportError


class ElboOptions(ImageInput, TableInput):
    """The options of `/elbo`."""

    n_samples: Annotated[
        int,
        Field(ge=1, description="K, draws of z per example."),
        AtMost(lambda facts: facts.limits.max_n_samples),
    ] = 1
    seed: SeedOption = None
    binarize: BinarizeOption = None
    first: First = 0


class ElboRequest(ElboOptions):
    """Data in the likelihood's support, and how to estimate."""

    x: Annotated[Numbers, InputRows(data_shape)]


class ElboResponse(StrictObject):
    """The ELBO of each example and its terms, in nats."""

    elbo: Annotated[Values, Field(description="log_likelihood - kl, [N].")]
    elbo_standard_error: Annotated[
        Values | None,
        Field(
            description="Its standard error, from the spread of the K draws, [N]. "
            "Null for K = 1, which has no spread."
        ),
    ]
    log_likelihood: Annotated[
        Values, Field(description="Mean of log p(x|z) over K draws, [N].")
    ]
    kl: Annotated[
        Values,
        Field(
            description="KL(q(z|x) || p(z)), [N]: exact if p(z) = N(0, I); otherwise "
            "estimated with the same draws, so it may be negative."
        ),
    ]
    kl_per_dim: Annotated[
        Numbers,
        Field(
            default_factory=list,
            description="The terms of kl, [N, J], if p(z) = N(0, I); a learned prior "
            "has no such terms.",
        ),
        Shape(max_rows, latent_shape),
        OnlyIf(has_standard_prior),
    ]
    n_samples: Annotated[int, Field(description="K.")]
    seed: SeedUsed
    binarize: BinarizeUsed
    units: Annotated[
        Literal["nats"], Field(description="The unit of all log probabilities.")
    ]


def _examples(values: ExampleValues) -> Bodies:
    return with_x_or_image(values, n_samples=8, seed=SEED)


@post(
    "/elbo",
    summary="A lower bound on log p(x), with its terms",
    request=ElboRequest,
    options=ElboOptions,
    response=ElboResponse,
    reads=DATA_OR_IMAGES,
    writes=BY_ROW,
    examples=_examples,
)
async def elbo(model: ServedModel, request: Request, format_: Format) -> Response:
    """Return an estimate of the ELBO of each row of x, with its terms, in nats."""
    x, options = await model.reader.read(request, model.reader.x, ElboOptions)
    return await respond(await estimate_elbo(model, x, options), format_, source="x")


async def estimate_elbo(model: ServedModel, x: Rows, options: ElboOptions) -> Reply:
    """Return the estimate and its terms as named arrays, within the limits."""
    _check(model, options, n_rows=len(x.values))
    seed = seed_or_random(options.seed)
    try:
        bound = await model.compute.elbo(
            x.values,
            n_samples=options.n_samples,
            seed=seed,
            binarize=options.binarize,
            first=options.first,
        )
    except OutsideSupportError as error:
        raise model.reader.outside_support_error(error, x) from error
    scalars = {
        **({"elbo_standard_error": None} if options.n_samples == 1 else {}),
        "n_samples": options.n_samples,
        "seed": seed,
        "binarize": options.binarize,
        "units": "nats",
    }
    tensors = {k: v for k, v in bound._asdict().items() if v is not None}
    return Reply(tensors, scalars)


def _check(model: ServedModel, options: ElboOptions, *, n_rows: int) -> None:
    """Check that the options are valid, and the work within the limits."""
    n_samples, limits = options.n_samples, model.settings
    if n_samples > limits.max_n_samples:
        what = f"expected 1 to {limits.max_n_samples}, got {number(n_samples)}"
        raise UnprocessableError(Fault("/n_samples", what))
    model.reader.check_binarize(options.binarize)
    model.check_first(options.first, n_samples * model.config.latent_dim)
    n_values = n_samples * n_rows * model.config.values_per_draw
    if n_values > limits.max_work:
        raise ContentTooLargeError(
            f"this request needs {n_values} values ({n_rows} rows with n_samples "
            f"{n_samples}); the limit is {limits.max_work} (VAE_MAX_WORK)"
        )
