"""
The JSON bodies, for the API documentation and for checking everything but arrays.

Bounds are types. The sizes of arrays belong to the served model;
`app.api_docs.openapi` puts
them in.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.compute.operations import Binarize, Draw
from model.noise import MAX_SEED

Numbers = list[list[float]]
Seed = Annotated[
    int,
    Field(ge=0, le=MAX_SEED, description="Noise is a function of it alone."),
]
MAX_TEMPERATURE = 100.0
MAX_SCALE = 64
_OF_INPUT = MappingProxyType(
    {
        "x_png": "expected exactly one of x and x_png, where data are images",
        "resize": "only for images: x_png, or a body in image/png or image/jpeg",
    }
)
_OF_OUTPUT = MappingProxyType(
    dict.fromkeys(("columns", "scale"), "only for an answer in image/png, by Accept")
)


class Body(BaseModel):
    """
    A JSON object with no unknown keys and no coercion.

    Attributes:
        elsewhere: What is said of names that belong to other forms of the request.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    elsewhere: ClassVar[Mapping[str, str]] = MappingProxyType({})


class ImageInput(Body):
    """What may be said of images that are sent."""

    resize: Annotated[
        bool,
        Field(
            description="For images: average areas to the model's size, without "
            "keeping proportions; else another size is refused."
        ),
    ] = False


class ImageOutput(Body):
    """What may be said of a picture that is answered."""

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


class EncodeOptions(Body):
    """`/encode` has no options."""

    elsewhere = _OF_INPUT


class EncodeImageOptions(EncodeOptions, ImageInput):
    """What `/encode` may be told beside images."""


class DecodeOptions(Body):
    """`/decode` has no options."""

    elsewhere = _OF_OUTPUT


class DecodePictureOptions(DecodeOptions, ImageOutput):
    """What `/decode` may be told of the picture it answers."""


class SampleOptions(Body):
    """What `/sample` may be told; a request may be empty."""

    elsewhere = _OF_OUTPUT

    n: Annotated[int, Field(ge=1, description="Number of rows.")] = 1
    seed: Annotated[
        Seed | None, Field(description="Drawn by the server if it is left out.")
    ] = None
    temperature: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_TEMPERATURE,
            allow_inf_nan=False,
            description="A factor of the prior's standard deviation, of a mixture "
            "those of its components; at 0 only means are left.",
        ),
    ] = 1.0
    draw: Annotated[
        Draw,
        Field(description="`mean` answers E[x|z], `sample` draws x ~ p(x|z)."),
    ] = "mean"


class SamplePictureOptions(SampleOptions, ImageOutput):
    """What `/sample` may be told of the picture it answers."""


class ElboOptions(Body):
    """What `/elbo` may be told beside x."""

    elsewhere = _OF_INPUT

    n_samples: Annotated[int, Field(ge=1, description="K, draws of z per example.")] = 1
    seed: Annotated[
        Seed | None, Field(description="Drawn by the server if it is left out.")
    ] = None
    binarize: Annotated[
        Binarize | None,
        Field(
            description="For a Bernoulli model and grey x in [0, 1]: `threshold` at "
            "1/2, or `sample` x ~ Bernoulli(x) with the seed."
        ),
    ] = None


class ElboImageOptions(ElboOptions, ImageInput):
    """What `/elbo` may be told beside images."""


class EncodeRequest(EncodeOptions):
    """Data to encode."""

    x: Numbers


class DecodeRequest(DecodeOptions):
    """Latents to decode."""

    z: Numbers


class SampleRequest(SampleOptions):
    """How many samples, and which."""


class ElboRequest(ElboOptions):
    """Data in the likelihood's support, and how to estimate."""

    x: Numbers


class EncodeResponse(Body):
    """q(z|x), a diagonal Gaussian per example."""

    mu: Annotated[Numbers, Field(description="Means, [N, J].")]
    log_var: Annotated[Numbers, Field(description="log sigma^2, [N, J].")]


class DecodeResponse(Body):
    """The parameters of p(x|z)."""

    mean: Annotated[Numbers, Field(description="E[x|z], [N, *data_shape].")]
    log_var: Annotated[
        Numbers,
        Field(description="log sigma^2 of x given z, where the likelihood has one."),
    ] = []
    likelihood: Literal["bernoulli", "continuous_bernoulli", "gaussian"]


class SampleResponse(Body):
    """Draws from the model."""

    x: Annotated[Numbers, Field(description="[n, *data_shape].")]
    z: Annotated[Numbers, Field(description="The latents they come from, [n, J].")]
    seed: Annotated[Seed, Field(description="The seed used.")]


class ElboResponse(Body):
    """The ELBO of each example and its terms, in nats."""

    elbo: Annotated[list[float], Field(description="log_likelihood - kl, [N].")]
    log_likelihood: Annotated[
        list[float], Field(description="Mean of log p(x|z) over K draws, [N].")
    ]
    kl: Annotated[
        list[float],
        Field(
            description="KL(q(z|x) || p(z)), [N]: exact where p(z) = N(0, I), else "
            "estimated with the same draws, so that it may be below 0."
        ),
    ]
    kl_per_dim: Annotated[
        Numbers,
        Field(
            description="Its terms, [N, J], where p(z) = N(0, I); a learned prior has "
            "none."
        ),
    ] = []
    n_samples: Annotated[int, Field(description="K.")]
    seed: Annotated[Seed, Field(description="The seed used.")]
    binarize: Annotated[Binarize | None, Field(description="How x was binarised.")]
    units: Literal["nats"]


class Fault(Body):
    """One thing wrong in a request."""

    pointer: Annotated[str, Field(description="JSON pointer (RFC 6901).")]
    detail: str


class Problem(Body):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Field(description="What was wanted and what came.")]
    instance: Annotated[str, Field(description="The path asked for.")]
    request_id: str
    errors: Annotated[list[Fault], Field(description="With 422, the faults.")] = []
