"""
The operations as routes: what the API documentation, the router and the pipeline share.

An `Operation` is written down once. From it come the entry of the table by which the
pipeline answers at once (`hot`), and an `OperationRoute`, which gives the router what
it needs for 404, 405 and the API documentation. Where the pipeline does not recognise a
path, behind a prefix for instance, the route answers with the endpoint of that table.
"""

import asyncio
from dataclasses import dataclass, replace
from inspect import cleandoc
from typing import Literal, final

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from app.endpoints import ALL_ARRAYS, Endpoint, Endpoints
from app.http.exchange import Request
from app.http.reader import READABLE, WITHOUT_ARRAY
from app.schemas import (
    DecodeOptions,
    DecodePictureOptions,
    DecodeRequest,
    DecodeResponse,
    ElboImageOptions,
    ElboOptions,
    ElboRequest,
    ElboResponse,
    EncodeImageOptions,
    EncodeOptions,
    EncodeRequest,
    EncodeResponse,
    SampleOptions,
    SamplePictureOptions,
    SampleRequest,
    SampleResponse,
)
from app.serving.lifecycle import ended
from app.serving.loaded_model import Hot, loaded_model_of
from app.wire.negotiation import Formats


@final
@dataclass(frozen=True, eq=False)
class Operation:
    """
    One call of the contract.

    Attributes:
        request: Schema of the JSON body; None for a call that takes no body.
        options: Its scalars, which are query parameters too.
        tag: The part of the API documentation that it stands in.
    """

    id: str
    path: str
    methods: tuple[str, ...]
    summary: str
    endpoint: Endpoint
    request: type[BaseModel] | None
    options: type[BaseModel]
    response: type[BaseModel]
    readable: Formats
    writable: Formats
    tag: Literal["operations", "analyses"] = "operations"


@final
class OperationRoute(APIRoute):
    """A route to an operation, documented like any other of the framework."""

    def __init__(self, operation: Operation, method: str) -> None:
        super().__init__(
            operation.path,
            _answered_by_handle,
            methods=[method],
            operation_id=operation.id,
            summary=operation.summary,
            description=cleandoc(operation.endpoint.__doc__ or ""),
            name=operation.id,
            tags=[operation.tag],
            # HEAD is GET without the body.
            include_in_schema=method != "HEAD",
        )
        self._method = method

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the operation's endpoint; a wrong method is the framework's."""
        if scope["method"] != self._method:
            await super().handle(scope, receive, send)
            return
        loaded = loaded_model_of(scope)
        request = Request(scope, receive, loaded.responses)
        try:
            answer = await loaded.hot[self._method, self.path](request)
            request.release()
            request.hold(answer.n_held)
        except asyncio.CancelledError:  # the time to drain is over
            raise ended() from None
        else:
            await answer.send(scope, send)
        finally:
            request.release()
            request.taken()


async def _answered_by_handle() -> None:
    """Stand for an endpoint without parameters; `OperationRoute` never calls it."""


def routes(operations: tuple[Operation, ...]) -> tuple[OperationRoute, ...]:
    """Return a route for each method and path."""
    return tuple(
        OperationRoute(operation, method)
        for operation in operations
        for method in operation.methods
    )


def hot(operations: tuple[Operation, ...]) -> Hot:
    """Return the endpoint of each method and path."""
    return {
        (method, operation.path): operation.endpoint
        for operation in operations
        for method in operation.methods
    }


def operations(endpoints: Endpoints) -> tuple[Operation, ...]:
    """Return every operation of the contract."""
    return (
        _encode(endpoints),
        _decode(endpoints),
        _sample(endpoints),
        _sample_by_query(endpoints),
        _elbo(endpoints),
    )


def _encode(endpoints: Endpoints) -> Operation:
    return Operation(
        id="encode",
        path="/encode",
        methods=("POST",),
        summary="x to q(z|x)",
        endpoint=endpoints.encode,
        request=EncodeRequest,
        options=EncodeImageOptions if endpoints.has_images else EncodeOptions,
        response=EncodeResponse,
        readable=endpoints.x_formats,
        writable=ALL_ARRAYS,
    )


def _decode(endpoints: Endpoints) -> Operation:
    return Operation(
        id="decode",
        path="/decode",
        methods=("POST",),
        summary="z to p(x|z)",
        endpoint=endpoints.decode,
        request=DecodeRequest,
        options=DecodePictureOptions if endpoints.has_images else DecodeOptions,
        response=DecodeResponse,
        readable=READABLE,
        writable=endpoints.decode_formats,
    )


def _sample(endpoints: Endpoints) -> Operation:
    return Operation(
        id="sample",
        path="/sample",
        methods=("POST",),
        summary="z from the prior, x from p(x|z)",
        endpoint=endpoints.sample,
        request=SampleRequest,
        options=SamplePictureOptions if endpoints.has_images else SampleOptions,
        response=SampleResponse,
        readable=WITHOUT_ARRAY,
        writable=endpoints.sample_formats,
    )


def _sample_by_query(endpoints: Endpoints) -> Operation:
    return replace(
        _sample(endpoints),
        id="sampleByQuery",
        methods=("GET", "HEAD"),
        summary="The same by query parameters",
        request=None,
        readable=(),
    )


def _elbo(endpoints: Endpoints) -> Operation:
    return Operation(
        id="elbo",
        path="/elbo",
        methods=("POST",),
        summary="A lower bound on log p(x), with its terms",
        endpoint=endpoints.elbo,
        request=ElboRequest,
        options=ElboImageOptions if endpoints.has_images else ElboOptions,
        response=ElboResponse,
        readable=endpoints.x_formats,
        writable=ALL_ARRAYS,
    )
