"""GET /model: a description of the served model."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, final

from pydantic import BaseModel, ConfigDict, Field

from app.call_parts.call import Call, Endpoint, get, offered
from app.call_parts.document import StaticDocument
from app.call_parts.served_model import ServedModel
from app.settings import Settings
from app.version import service_version
from model.checkpoint.manifest import Figure, LatentUse
from model.engine import Engine
from model.tables.schema import TableSchema

THETA = (
    "θ (theta) are the weights and biases of the decoder, the parameters of "
    "p_θ(x|z) p(z). The true posterior p_θ(z|x) = p_θ(x|z) p(z) / p_θ(x) carries θ "
    "because every factor with a parameter in it is the decoder. It is not a "
    "distribution over θ."
)
PHI = (
    "φ (phi) are the weights and biases of the encoder, the variational parameters "
    "that training optimizes (AEVB App. C.2). μ(x) and σ²(x) are functions of x and φ "
    "(App. B): the local parameters of q_φ(z|x) for one datapoint. Classic variational "
    "inference optimizes the local ones; a VAE amortizes them through φ. What sharing "
    "φ costs, in nats, is the amortization gap."
)


@final
class LikelihoodCard(BaseModel):
    """
    The family of p(x|z), and its support.

    Attributes:
        kind: `bernoulli`, `continuous_bernoulli`, `gaussian` or `table`.
        support: The values of x that have a likelihood.
        value_range: The smallest and the largest of them; null if there are none.
    """

    kind: str
    support: str
    value_range: tuple[float, float] | None


_LEARNED = "The prior is learned: what it is made of belongs to θ as well."
_PRIORS = {
    "standard_normal": "p(z) = N(z; 0, I), a standard normal.",
    "gaussian_mixture": (
        "p(z) is a mixture of Gaussians of diagonal covariance. Its weights, means and "
        "variances are learned."
    ),
    "vamp": (
        "A VampPrior (Tomczak & Welling 2018): p(z) is the mean of q_φ(z|u) over "
        "pseudo-inputs u, which are learned. So p(z), and with it the true posterior, "
        "carries φ as well."
    ),
}


@final
class PriorCard(BaseModel):
    """
    The prior p(z).

    Attributes:
        what: The prior in words.
    """

    kind: Annotated[
        str, Field(description="standard_normal, gaussian_mixture or vamp.")
    ]
    n_components: Annotated[
        int, Field(description="C, the number of Gaussian components.")
    ]
    mean: Annotated[list[float], Field(description="E[z_j], [J].")]
    standard_deviation: Annotated[
        list[float], Field(description="Of the marginals p(z_j), [J].")
    ]
    what: str


@final
class Parameters(BaseModel):
    """
    The number of parameters in θ or φ, and what they are.

    Attributes:
        n_parameters: How many numbers there are.
        what: Their meaning in words.
    """

    n_parameters: int
    what: str


def _describe_limits(schema: dict[str, Any]) -> None:
    for name, member in schema["properties"].items():
        member["description"] = Settings.model_fields[name].description


@final
class Limits(BaseModel):
    """The limits of requests, in the words of the settings."""

    model_config = ConfigDict(json_schema_extra=_describe_limits)

    max_body_bytes: int
    max_rows: int
    max_n_samples: int
    max_output_values: int
    max_image_pixels: int
    max_work: int
    max_analysis_rows: int
    max_draws: int
    max_analysis_work: int


@final
class Compute(BaseModel):
    """
    The device and the library that compute, and a property of their results.

    Attributes:
        device: `cpu` or `cuda`.
        backend: The library that computes the layers, `onnx` or `torch`.
    """

    device: str
    backend: str
    batch_invariant: Annotated[
        bool,
        Field(
            description="Whether the bits of a row do not depend on its batch or its "
            "place in it, as tested at start-up."
        ),
    ]


@final
class MediaTypes(BaseModel):
    """
    The formats of a call's request and response.

    Attributes:
        request: What Content-Type may be.
        response: What Accept may name.
    """

    request: list[str]
    response: list[str]


@final
class OriginCard(BaseModel):
    """
    The provenance of the checkpoint.

    Attributes:
        created: When it was written, in UTC.
        dataset: The data of the training.
        dataset_sha256: The SHA-256 of the file that they come from; null if unknown.
        dataset_source: What the data are, and how they were split.
        seed: The seed of the training.
        libraries: The versions of Python and of libraries in the training.
    """

    created: str
    dataset: str
    dataset_sha256: str | None
    dataset_source: str
    seed: int
    libraries: dict[str, str]


@final
class Card(BaseModel):
    """
    A description of the served model.

    Attributes:
        name: The name of its directory.
        service_version: The version of the service.
        format_version: The version of the checkpoint's format.
        data_shape: The shape of one example.
        latent_dim: J, the number of dimensions of z.
        units: The unit of all log probabilities.
        media_types: The formats of each call, by operation id.
        figures: What was measured at the end of the training.
    """

    name: str
    version: Annotated[str, Field(description="The first digits of sha256.")]
    sha256: Annotated[
        str, Field(description="The SHA-256 of the checkpoint's manifest.")
    ]
    service_version: str
    format_version: int
    data_shape: tuple[int, ...]
    latent_dim: int
    likelihood: LikelihoodCard
    prior: PriorCard
    binarization: Annotated[
        str, Field(description="How training binarized gray values.")
    ]
    divided_by: Annotated[
        float,
        Field(description="The divisor of raw values; 255 for 8-bit images."),
    ]
    columns: Annotated[
        tuple[str, ...] | None,
        Field(
            description="The names of the columns of a table, in the order of the "
            "values of a row; null if they have none."
        ),
    ]
    table: Annotated[
        TableSchema | None,
        Field(
            description="What the cells of each column are, and their codes: of a "
            "number itself, of a category its index; null for data of numbers alone."
        ),
    ]
    divisors: Annotated[
        dict[str, float],
        Field(
            description="The divisors of integer arrays, by dtype. Integers of other "
            "dtypes, booleans, floats and JSON numbers are x itself."
        ),
    ]
    value_range: Annotated[
        tuple[float, float] | None,
        Field(description="The smallest and the largest x; null if there are none."),
    ]
    data_dtype: Annotated[
        Literal["float32", "float64"],
        Field(
            description="The dtype of arrays in the units of the data: float64 if "
            "the model standardizes, or has a table of mixed kinds."
        ),
    ]
    theta: Parameters
    phi: Parameters
    units: str
    compute: Compute
    limits: Limits
    media_types: dict[str, MediaTypes]
    figures: tuple[Figure, ...]
    latent_use: Annotated[
        LatentUse | None,
        Field(
            description="Which latent dimensions carry information, and whether the "
            "posterior has collapsed; null if training did not measure it."
        ),
    ]
    provenance: OriginCard


@get("/model", summary="The served model", response=Card)
def model(served: ServedModel, calls: Sequence[Call]) -> Endpoint:
    """Describe the served model: shapes, likelihood, θ and φ, limits, figures."""
    return StaticDocument(card(served, calls).model_dump_json().encode())


def card(served: ServedModel, calls: Sequence[Call]) -> Card:
    """Return the description of a served model."""
    checkpoint, engine, settings = served.checkpoint, served.engine, served.settings
    config, vae = checkpoint.config, checkpoint.vae
    return Card(
        name=settings.checkpoint.name,
        version=checkpoint.version,
        sha256=checkpoint.sha256,
        service_version=service_version(),
        format_version=config.format_version,
        data_shape=config.data_shape,
        latent_dim=config.latent_dim,
        likelihood=_likelihood(engine),
        prior=_prior(engine),
        binarization=config.data.binarization,
        divided_by=config.data.divided_by,
        columns=config.data.columns,
        table=config.table,
        divisors={str(name): d for name, d in config.data.divisors.items()},
        value_range=served.reader.raw.value_range,
        data_dtype="float64" if served.has_wide_data else "float32",
        theta=_theta(engine),
        phi=Parameters(n_parameters=sum(p.numel() for p in vae.phi), what=PHI),
        units="nats",
        compute=Compute(
            device=engine.device,
            backend=engine.backend,
            batch_invariant=engine.batch_invariant,
        ),
        limits=Limits(**settings.model_dump(include=set(Limits.model_fields))),
        media_types=_media_types(calls, served),
        figures=checkpoint.metrics.figures,
        latent_use=checkpoint.metrics.latent_use,
        provenance=OriginCard(
            **checkpoint.manifest.provenance.model_dump(
                include=set(OriginCard.model_fields)
            )
        ),
    )


def _likelihood(engine: Engine) -> LikelihoodCard:
    family = engine.checkpoint.vae.likelihood
    return LikelihoodCard(
        kind=family.kind, support=family.support, value_range=family.value_range
    )


def _media_types(calls: Sequence[Call], served: ServedModel) -> dict[str, MediaTypes]:
    return {
        call.id: MediaTypes(
            request=[one.name for one in offered(call.reads, served.facts)],
            response=[one.name for one in offered(call.writes, served.facts)],
        )
        for call in calls
        if call.tag != "service"
    }


def _theta(engine: Engine) -> Parameters:
    n_parameters = sum(p.numel() for p in engine.checkpoint.vae.theta)
    what = THETA if engine.kl_adds_up else f"{THETA} {_LEARNED}"
    return Parameters(n_parameters=n_parameters, what=what)


def _prior(engine: Engine) -> PriorCard:
    config, moments = engine.checkpoint.config, engine.prior_moments
    return PriorCard(
        kind=config.prior.kind,
        n_components=config.n_components,
        mean=moments.mean.tolist(),
        standard_deviation=moments.standard_deviation.tolist(),
        what=_PRIORS[config.prior.kind],
    )
