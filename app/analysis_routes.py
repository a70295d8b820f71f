"""The analyses as `Operation`s, beside those of `app.operation_routes`."""

from app.analysis_endpoints import AnalysisEndpoints
from app.analysis_schemas import (
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
from app.anomaly_endpoints import AnomalyEndpoints
from app.anomaly_schemas import AnomalyOptions, AnomalyRequest, AnomalyResponse
from app.endpoints import ALL_ARRAYS
from app.imputation_endpoints import ImputationEndpoints
from app.imputation_schemas import ImputeOptions, ImputeRequest, ImputeResponse
from app.operation_routes import Operation
from app.reading import NAMED, READABLE


def operations(
    endpoints: AnalysisEndpoints,
    anomalies: AnomalyEndpoints,
    imputations: ImputationEndpoints,
) -> tuple[Operation, ...]:
    """Return every analysis of the contract."""
    return (
        _loglik(endpoints),
        _gap(endpoints),
        _refine(endpoints),
        _posterior(endpoints),
        _anomaly(anomalies),
        _impute(imputations),
    )


def _loglik(endpoints: AnalysisEndpoints) -> Operation:
    return Operation(
        id="loglik",
        path="/loglik",
        methods=("POST",),
        summary="How likely x is: log p(x), and how sure that is",
        endpoint=endpoints.loglik,
        request=LoglikRequest,
        options=LoglikOptions,
        response=LoglikResponse,
        readable=READABLE,
        writable=ALL_ARRAYS,
        tag="analyses",
    )


def _gap(endpoints: AnalysisEndpoints) -> Operation:
    return Operation(
        id="gap",
        path="/gap",
        methods=("POST",),
        summary="What the encoder costs: log p(x) - ELBO in two parts",
        endpoint=endpoints.gap,
        request=GapRequest,
        options=GapOptions,
        response=GapResponse,
        readable=READABLE,
        writable=ALL_ARRAYS,
        tag="analyses",
    )


def _refine(endpoints: AnalysisEndpoints) -> Operation:
    return Operation(
        id="refine",
        path="/refine",
        methods=("POST",),
        summary="The best q(z|x) for each x alone",
        endpoint=endpoints.refine,
        request=RefineRequest,
        options=RefineOptions,
        response=RefineResponse,
        readable=READABLE,
        writable=ALL_ARRAYS,
        tag="analyses",
    )


def _posterior(endpoints: AnalysisEndpoints) -> Operation:
    return Operation(
        id="posterior",
        path="/posterior",
        methods=("POST",),
        summary="The true p(z|x) on a grid, for one or two latent dimensions",
        endpoint=endpoints.posterior,
        request=PosteriorRequest,
        options=PosteriorOptions,
        response=PosteriorResponse,
        readable=READABLE,
        writable=ALL_ARRAYS,
        tag="analyses",
    )


def _anomaly(endpoints: AnomalyEndpoints) -> Operation:
    return Operation(
        id="anomaly",
        path="/anomaly",
        methods=("POST",),
        summary="Whether x belongs: its score among held-out ones",
        endpoint=endpoints.anomaly,
        request=AnomalyRequest,
        options=AnomalyOptions,
        response=AnomalyResponse,
        readable=READABLE,
        writable=ALL_ARRAYS,
        tag="analyses",
    )


def _impute(endpoints: ImputationEndpoints) -> Operation:
    return Operation(
        id="impute",
        path="/impute",
        methods=("POST",),
        summary="What is missing in x, given what is known of it",
        endpoint=endpoints.impute,
        request=ImputeRequest,
        options=ImputeOptions,
        response=ImputeResponse,
        readable=NAMED,
        writable=ALL_ARRAYS,
        tag="analyses",
    )
