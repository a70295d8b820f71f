"""POST /refine: the best q(z|x) for each row alone."""

from typing import Annotated

from pydantic import Field

from app.call_parts.analysis import AnalysisOptions, AnalysisResponse, analyze, read
from app.call_parts.call import post
from app.call_parts.evidence import STANDARD_ERROR
from app.call_parts.examples import SEED, Bodies, ExampleValues, with_x
from app.call_parts.fields import Counts, Flags, Numbers, Values
from app.call_parts.formats import ALL_ARRAYS, ONE_ARRAY
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import (
    InputRows,
    Shape,
    data_shape,
    latent_shape,
    max_analyzed_rows,
    max_rows,
)
from app.http.exchange import Request, Response
from app.wire.negotiation import Format
from model.inference import analyses


class RefineOptions(AnalysisOptions):
    """The options of `/refine`."""


class RefineRequest(RefineOptions):
    """Data in the likelihood's support."""

    x: Annotated[Numbers, InputRows(data_shape, max_analyzed_rows)]


class RefineResponse(AnalysisResponse):
    """q(z|x) optimized for each row alone, and what that gained, in nats."""

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
    improvement: Annotated[Values, Field(description="After less before, [N].")]
    improvement_standard_error: Annotated[
        Values,
        Field(description="From the same draws, so smaller than those of both, [N]."),
    ]
    n_steps: Annotated[Counts, Field(description="Steps of L-BFGS, [N].")]
    converged: Annotated[
        Flags, Field(description="Whether less than 1e-4 nats were left to gain, [N].")
    ]


def _examples(values: ExampleValues) -> Bodies:
    return with_x(values, seed=SEED)


@post(
    "/refine",
    summary="The best q(z|x) for each x alone",
    request=RefineRequest,
    options=RefineOptions,
    response=RefineResponse,
    reads=ONE_ARRAY,
    writes=ALL_ARRAYS,
    room="analyses",
    tag="analyses",
    examples=_examples,
)
async def refine(model: ServedModel, request: Request, format_: Format) -> Response:
    """
    Answer the best q(z|x) for each row: mu and log_var, optimized for it alone.

    `/encode` answers at once what the encoder has learned to answer for data like
    its training data. Here that answer is only the start: mu and log_var are
    improved for each row until its ELBO rises no further, as in variational
    inference without an encoder. Use it where a better code is worth a second of
    waiting, or for data that the encoder has not seen the like of. The answer says
    what was gained, in nats, with standard errors from draws that the search has
    not seen.
    """
    asked = await read(model, request, RefineOptions)
    return await analyze(
        model,
        asked,
        format_,
        lambda x, rows: model.analyst.refined(
            x, rows, seed=asked.seed, first=asked.options.first
        ),
        draws=analyses.draws_refining(model.config),
    )
