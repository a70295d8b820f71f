"""Types of fields that several calls share."""

from typing import Annotated

from pydantic import Field

from model.noise import MAX_SEED
from model.option_values import Binarize

Numbers = list[list[float]]
Values = list[float]
Flags = list[bool]
Counts = list[int]

Seed = Annotated[
    int,
    Field(ge=0, le=MAX_SEED, description="The noise is a function of the seed."),
]
SeedOption = Annotated[Seed | None, Field(description="Chosen at random if left out.")]
SeedUsed = Annotated[Seed, Field(description="The seed used.")]
First = Annotated[
    int,
    Field(
        ge=0,
        le=2**53,
        description="Position of the first row in the data. The noise of row i is a "
        "function of seed and first + i, so data can be sent in several requests.",
    ),
]
BinarizeOption = Annotated[
    Binarize | None,
    Field(
        description="For a Bernoulli model and gray x in [0, 1]: `threshold` x at 1/2, "
        "or `sample` x ~ Bernoulli(x) with the seed."
    ),
]
BinarizeUsed = Annotated[Binarize | None, Field(description="How x was binarized.")]
