"""
A client of the service: its operations, analyses and paths, numpy in and out.

`Client` blocks, `AsyncClient` is for asyncio; they differ in nothing else.
"""

from client.analysis_results import (
    Anomaly,
    Examples,
    Gap,
    HeldOutElbo,
    Imputation,
    Interpolation,
    Loglik,
    Posterior,
    Refinement,
    Traversal,
)
from client.asynchronous import AsyncClient
from client.blocking import Client
from client.errors import (
    ConnectionFailedError,
    Fault,
    LimitError,
    OverloadedError,
    ProblemError,
    RequestError,
    ServerError,
    TimedOutError,
    UnexpectedAnswerError,
    VaeError,
)
from client.results import (
    Decoding,
    Elbo,
    Encoding,
    Likelihood,
    Limits,
    Model,
    Sample,
)

__all__ = [
    "Anomaly",
    "AsyncClient",
    "Client",
    "ConnectionFailedError",
    "Decoding",
    "Elbo",
    "Encoding",
    "Examples",
    "Fault",
    "Gap",
    "HeldOutElbo",
    "Imputation",
    "Interpolation",
    "Likelihood",
    "LimitError",
    "Limits",
    "Loglik",
    "Model",
    "OverloadedError",
    "Posterior",
    "ProblemError",
    "Refinement",
    "RequestError",
    "Sample",
    "ServerError",
    "TimedOutError",
    "Traversal",
    "UnexpectedAnswerError",
    "VaeError",
]
