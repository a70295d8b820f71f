"""What `GET /model` describes: the schemas of its response."""

from typing import Annotated, Any, Literal, final

from pydantic import BaseModel, ConfigDict, Field

from app.settings import Settings
from model.checkpoint.manifest import Figure, LatentUse
from model.tables.schema import TableSchema


@final
class LikelihoodCard(BaseModel):
    """The family of p(x|z), and its support."""

    kind: Annotated[
        str,
        Field(
            description="`bernoulli`, `continuous_bernoulli`, `gaussian` or `table`."
        ),
    ]
    support: Annotated[
        str, Field(description="The values of x that have a likelihood.")
    ]
    value_range: Annotated[
        tuple[float, float] | None,
        Field(
            description="The smallest and the largest of them; null if there are none."
        ),
    ]


@final
class PriorCard(BaseModel):
    """The prior p(z)."""

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
    what: Annotated[str, Field(description="The prior in words.")]


@final
class Parameters(BaseModel):
    """The number of parameters in θ or φ, and what they are."""

    n_parameters: Annotated[int, Field(description="How many numbers there are.")]
    what: Annotated[str, Field(description="Their meaning in words.")]


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
    """The device and the library that compute, and a property of their results."""

    device: Annotated[str, Field(description="`cpu` or `cuda`.")]
    backend: Annotated[
        str,
        Field(description="The library that computes the layers, `onnx` or `torch`."),
    ]
    batch_invariant: Annotated[
        bool,
        Field(
            description="Whether the bits of a row do not depend on its batch or its "
            "place in it, as tested at start-up."
        ),
    ]


@final
class MediaTypes(BaseModel):
    """The formats of a call's request and response."""

    request: Annotated[list[str], Field(description="What Content-Type may be.")]
    response: Annotated[list[str], Field(description="What Accept may name.")]


@final
class OriginCard(BaseModel):
    """The provenance of the checkpoint."""

    created: Annotated[str, Field(description="When it was written, in UTC.")]
    dataset: Annotated[str, Field(description="The data of the training.")]
    dataset_sha256: Annotated[
        str | None,
        Field(
            description="The SHA-256 of the file that they come from; null if unknown."
        ),
    ]
    dataset_source: Annotated[
        str, Field(description="What the data are, and how they were split.")
    ]
    seed: Annotated[int, Field(description="The seed of the training.")]
    libraries: Annotated[
        dict[str, str],
        Field(description="The versions of Python and of libraries in the training."),
    ]


@final
class Card(BaseModel):
    """A description of the served model."""

    name: Annotated[str, Field(description="The name of its directory.")]
    version: Annotated[str, Field(description="The first digits of sha256.")]
    sha256: Annotated[
        str, Field(description="The SHA-256 of the checkpoint's manifest.")
    ]
    service_version: Annotated[str, Field(description="The version of the service.")]
    format_version: Annotated[
        int, Field(description="The version of the checkpoint's format.")
    ]
    data_shape: Annotated[
        tuple[int, ...], Field(description="The shape of one example.")
    ]
    latent_dim: Annotated[int, Field(description="J, the number of dimensions of z.")]
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
    column_units: Annotated[
        tuple[str | None, ...] | None,
        Field(
            description="The units that the columns had in the table of the training, "
            "such as kg, in which numbers are read and returned; null for a column "
            "without one, and if none has one."
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
    units: Annotated[str, Field(description="The unit of all log probabilities.")]
    compute: Compute
    limits: Limits
    media_types: Annotated[
        dict[str, MediaTypes],
        Field(description="The formats of each call, by operation id."),
    ]
    figures: Annotated[
        tuple[Figure, ...],
        Field(description="What was measured at the end of the training."),
    ]
    latent_use: Annotated[
        LatentUse | None,
        Field(
            description="Which latent dimensions carry information, and whether the "
            "posterior has collapsed; null if training did not measure it."
        ),
    ]
    provenance: OriginCard
