"""The analyses as `Operation`s, beside those of `app.operation_routes`."""

from pydantic import BaseModel

from app.analysis.anomaly_endpoints import AnomalyEndpoints
from app.analysis.anomaly_schemas import AnomalyOptions, AnomalyRequest, AnomalyResponse
from app.analysis.endpoints import AnalysisEndpoints
from app.analysis.imputation_endpoints import ImputationEndpoints
from app.analysis.imputation_schemas import ImputeOptions, ImputeRequest, ImputeResponse
from app.analysis.schemas import (
    GapOptions,
    GapRequest,
    GapResponse,
    LoglikOptions,
    LoglikRequest,
    LoglikResponse,
    PosteriorOptions,
    PosteriorRequest,
    PosteriorResponse,
    RefineOptions,
    RefineRequest,
    RefineResponse,
)
from app.endpoints import ALL_ARRAYS, Endpoint
from app.http.reader import NAMED, READABLE
from app.operation_routes import Operation
from app.wire.negotiation import Formats


def operations(
    endpoints: AnalysisEndpoints,
    anomalies: AnomalyEndpoints,
    imputations: ImputationEndpoints,
) -> tuple[Operation, ...]:
    """Return every analysis of the contract."""
    return (
        *_measures(endpoints),
        _analysis(
            "anomaly",
            "Whether x belongs: its score among held-out ones",
            anomalies.anomaly,
            AnomalyRequest,
            AnomalyOptions,
            AnomalyResponse,
        ),
        _analysis(
            "impute",
            "What is missing in x, given what is known of it",
            imputations.impute,
            ImputeRequest,
            ImputeOptions,
            ImputeResponse,
            readable=NAMED,
        ),
    )


def _measures(endpoints: AnalysisEndpoints) -> tuple[Operation, ...]:
    return (
        _analysis(
            "loglik",
            "How likely x is: log p(x), and how sure that is",
            endpoints.loglik,
            LoglikRequest,
            LoglikOptions,
            LoglikResponse,
        ),
        _analysis(
            "gap",
            "What the encoder costs: log p(x) - ELBO in two parts",
            endpoints.gap,
            GapRequest,
            GapOptions,
            GapResponse,
        ),
        _analysis(
            "refine",
            "The best q(z|x) for each x alone",
            endpoints.refine,
            RefineRequest,
            RefineOptions,
            RefineResponse,
        ),
        _analysis(
            "posterior",
            "The true p(z|x) on a grid, for one or two latent dimensions",
            endpoints.posterior,
            PosteriorRequest,
            PosteriorOptions,
            PosteriorResponse,
        ),
    )


def _analysis(
    id_: str,
    summary: str,
    endpoint: Endpoint,
    request: type[BaseModel],
    options: type[BaseModel],
    response: type[BaseModel],
    readable: Formats = READABLE,
) -> Operation:
    return Operation(
        id=id_,
        path=f"/{id_}",
        methods=("POST",),
        summary=summary,
        endpoint=endpoint,
        request=request,
        options=options,
        response=response,
        readable=readable,
        writable=ALL_ARRAYS,
        tag="analyses",
    )
