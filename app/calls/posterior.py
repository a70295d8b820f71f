"""POST /posterior: the true p(z|x) on a grid, for one or two latent dimensions."""

from typing import Annotated

from pydantic import Field

from app.call_parts.analysis import AnalysisOptions, AnalysisResponse, analyze, read
from app.call_parts.call import post
from app.call_parts.examples import with_x
from app.call_parts.fields import Flags, Numbers, Values
from app.call_parts.formats import ALL_ARRAYS, DATA
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import (
    InputRows,
    Shape,
    data_shape,
    latent_shape,
    max_analyzed_rows,
    max_rows,
)
from app.errors import Fault, UnprocessableError
from app.http.request import Request
from app.http.response import Response
from app.wire.negotiation import Format
from model.checkpoint import Checkpoint
from model.inference import analyses
from model.inference.analyses import MAX_LATENT_DIM, N_GRID


class PosteriorOptions(AnalysisOptions):
    """The options of `/posterior`; the seed is used only to binarize."""


class PosteriorRequest(PosteriorOptions):
    """Data in the likelihood's support."""

    x: Annotated[Numbers, InputRows(data_shape, max_analyzed_rows)]


class PosteriorResponse(AnalysisResponse):
    """p(z|x) of each row by quadrature, and its divergence from q(z|x), in nats."""

    log_p_x: Annotated[Values, Field(description="log p(x), [N].")]
    log_p_x_error: Annotated[
        Values, Field(description="Its quadrature error; it is not random, [N].")
    ]
    kl: Annotated[
        Values,
        Field(
            description="KL(q(z|x) || p(z|x)) = log p(x) - ELBO, without noise, [N]."
        ),
    ]
    kl_error: Annotated[Values, Field(description="Its quadrature error, [N].")]
    converged: Annotated[
        Flags, Field(description="Whether log_p_x_error is at most 1e-6, [N].")
    ]
    mean: Annotated[
        Numbers, Field(description="E[z|x], [N, J]."), Shape(max_rows, latent_shape)
    ]
    covariance: Annotated[list[Numbers], Field(description="Cov[z|x], [N, J, J].")]
    axes: Annotated[
        list[Numbers],
        Field(description="The grid of each z_j, in equal steps, [N, J, G]."),
    ]
    log_posterior: Annotated[
        list[Values] | list[Numbers],
        Field(description="log p(z|x) on the grid, [N, G] or [N, G, G], z_1 first."),
    ]
    log_q: Annotated[
        list[Values] | list[Numbers],
        Field(
            description="log q(z|x) on the grid; q may extend beyond the grid, which "
            "covers p(z|x)."
        ),
    ]


def _why_not(checkpoint: Checkpoint) -> str:
    j = checkpoint.config.latent_dim
    if j <= MAX_LATENT_DIM:
        return ""
    return f"expected a model with 1 or 2 latent dimensions, this one has {j}"


@post(
    "/posterior",
    summary="The true p(z|x) on a grid, for one or two latent dimensions",
    request=PosteriorRequest,
    options=PosteriorOptions,
    response=PosteriorResponse,
    reads=DATA,
    writes=ALL_ARRAYS,
    room="analyses",
    tag="analyses",
    examples=with_x,
    why_not=_why_not,
)
async def posterior(model: ServedModel, request: Request, format_: Format) -> Response:
    """
    Return the true posterior p(z|x) of each row; for at most two latent dimensions.

    Which z could have generated this x? The encoder's q(z|x) is an approximation of
    the answer. In one or two dimensions the exact answer can be computed by integrating
    over a grid. The response can be plotted: the values of z on each axis, and
    log p(z|x) and log q(z|x) on the grid. It also has log p(x), the mean and covariance
    of p(z|x), and the exact KL(q(z|x) || p(z|x)) in nats. Nothing in it is random; the
    errors are those of the quadrature. Models with more latent dimensions are refused
    (422).
    """
    inputs = await read(model, request, PosteriorOptions)
    if why_not := _why_not(model.checkpoint):
        raise UnprocessableError(Fault("", why_not))
    j = model.config.latent_dim
    model.check_output(len(inputs.x.values), 2 * N_GRID[j] ** j)
    return await analyze(
        model,
        inputs,
        format_,
        model.analyst.posteriors,
        response=PosteriorResponse,
        draws=analyses.n_draws_to_integrate(model.config),
    )
