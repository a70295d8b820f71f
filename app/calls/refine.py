"""POST /refine: q(z|x) optimized for each row."""

from typing import Annotated

from pydantic import Field

from app.call_parts.analysis import AnalysisOptions, AnalysisResponse, analyze, read
from app.call_parts.call import post
from app.call_parts.evidence import STANDARD_ERROR
from app.call_parts.examples import SEED, Bodies, ExampleValues, with_x
from app.call_parts.fields import Counts, Flags, Numbers, Values
from app.call_parts.formats import BY_ROW, DATA
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import (
    InputRows,
    Shape,
    data_shape,
    latent_shape,
    max_analyzed_rows,
    max_rows,
)
from app.http.request import Request
from app.http.response import Response
from app.wire.negotiation import Format
from model.inference import analyses


class RefineOptions(AnalysisOptions):
    """The options of `/refine`."""


class RefineRequest(RefineOptions):
    """Data in the likelihood's support."""

    x: Annotated[Numbers, InputRows(data_shape, max_analyzed_rows)]


class RefineResponse(AnalysisResponse):
    """q(z|x) optimized for each row, and the gain in nats."""

    mu: Annotated[
        Numbers,
        Field(description="Means of the refined q(z|x), [N, J]."),
        Shape(max_rows, latent_shape),
    ]
    log_var: Annotated[
        Numbers,
        Field(description="Its log sigma^2, [N, J]."),
        Shape(max_rows, latent_shape),
    ]
    elbo_before: Annotated[Values, Field(description="With the encoder's q, [N].")]
    elbo_before_standard_error: Annotated[Values, Field(description=STANDARD_ERROR)]
    elbo_after: Annotated[Values, Field(description="With the refined q, [N].")]
    elbo_after_standard_error: Annotated[Values, Field(description=STANDARD_ERROR)]
    improvement: Annotated[Values, Field(description="elbo_after - elbo_before, [N].")]
    improvement_standard_error: Annotated[
        Values,
        Field(description="From the same draws, so smaller than those of both, [N]."),
    ]
    n_steps: Annotated[Counts, Field(description="Steps of L-BFGS, [N].")]
    converged: Annotated[
        Flags,
        Field(
            description="Whether less than 1e-4 nats could be gained over the draws of "
            "the search, [N]."
        ),
    ]


def _examples(values: ExampleValues) -> Bodies:
    return with_x(values, seed=SEED)


@post(
    "/refine",
    summary="q(z|x) optimized for each x",
    request=RefineRequest,
    options=RefineOptions,
    response=RefineResponse,
    reads=DATA,
    writes=BY_ROW,
    room="analyses",
    tag="analyses",
    examples=_examples,
)
async def refine(model: ServedModel, request: Request, format_: Format) -> Response:
    """
    Return the best q(z|x) for each row: mu and log_var, optimized for that row.

    `/encode` returns what the encoder has learned to predict for data like its training
    data. Here that prediction is only the starting point: mu and log_var are optimized
    for each row until its ELBO no longer improves, as in variational inference without
    an encoder. Use it if a better encoding is worth a second of compute, or for data
    that are unlike the training data. The response contains the gain in nats, with
    standard errors from draws that were not used in the optimization.
    """
    inputs = await read(model, request, RefineOptions)
    return await analyze(
        model,
        inputs,
        format_,
        lambda x, rows: model.analyst.refine(
            x, rows, seed=inputs.seed, first=inputs.options.first
        ),
        response=RefineResponse,
        draws=analyses.n_draws_to_refine(model.config),
    )
