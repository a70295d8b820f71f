"""
A client of the VAE service: its calls as methods, numpy arrays in and out.

`Client` blocks, `AsyncClient` is for asyncio; otherwise they are the same. The method
`encode` returns an `EncodeResult`, and so on.
"""

from vae_client.analysis_results import (
    AnomalyResult,
    GapResult,
    ImputeResult,
    LoglikResult,
    PosteriorResult,
    RefineResult,
)
from vae_client.asynchronous.client import AsyncClient
from vae_client.blocking.client import Client
from vae_client.errors import (
    ConnectionFailedError,
    LimitError,
    ModelChangedError,
    RequestError,
    RequestFault,
    ServerError,
    ServiceBusyError,
    StatusError,
    TimedOutError,
    UnexpectedAnswerError,
    VaeError,
)
from vae_client.results import (
    DecodeResult,
    ElboResult,
    EncodeResult,
    ExamplesElbo,
    ExamplesResult,
    InterpolateResult,
    ModelLikelihood,
    ModelLimits,
    ModelResult,
    ReconstructResult,
    SampleResult,
    TraverseResult,
)

__all__ = [
    "AnomalyResult",
    "AsyncClient",
    "Client",
    "ConnectionFailedError",
    "DecodeResult",
    "ElboResult",
    "EncodeResult",
    "ExamplesElbo",
    "ExamplesResult",
    "GapResult",
    "ImputeResult",
    "InterpolateResult",
    "LimitError",
    "LoglikResult",
    "ModelChangedError",
    "ModelLikelihood",
    "ModelLimits",
    "ModelResult",
    "PosteriorResult",
    "ReconstructResult",
    "RefineResult",
    "RequestError",
    "RequestFault",
    "SampleResult",
    "ServerError",
    "ServiceBusyError",
    "StatusError",
    "TimedOutError",
    "TraverseResult",
    "UnexpectedAnswerError",
    "VaeError",
]
