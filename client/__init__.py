"""
A client of the service: `encode`, `decode`, `sample`, `elbo`, with numpy in and out.

`Client` blocks, `AsyncClient` is for asyncio; they differ in nothing else.
"""

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
    "AsyncClient",
    "Client",
    "ConnectionFailedError",
    "Decoding",
    "Elbo",
    "Encoding",
    "Fault",
    "Likelihood",
    "LimitError",
    "Limits",
    "Model",
    "OverloadedError",
    "ProblemError",
    "RequestError",
    "Sample",
    "ServerError",
    "TimedOutError",
    "UnexpectedAnswerError",
    "VaeError",
]
