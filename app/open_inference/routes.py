"""
The URLs of the Open Inference Protocol.

A path that names a model and no version is answered by the fast path. One with a
version, or with a model that does not exist, has a route with parameters.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import orjson

from app.call_parts.call import READS, Bind, Call, Endpoint
from app.call_parts.document import NO_SNIFFING
from app.call_parts.served_model import ServedModel
from app.calls.livez import livez
from app.calls.readyz import readyz
from app.http.request import Request
from app.http.response import Response
from app.http.writer import check_finite
from app.open_inference.document import Inference
from app.open_inference.models import MODELS, find
from app.open_inference.tensors import HEADER_LENGTH, respond
from app.version import service_version

NAME = "vae-service"
EXTENSIONS = ["binary_tensor_data"]
_POST = ("POST",)


def _server(_: ServedModel, __: Sequence[Call]) -> Endpoint:
    """Describe the server."""
    content = {"name": NAME, "version": service_version(), "extensions": EXTENSIONS}

    async def endpoint(_: Request) -> Response:
        return _json(content)

    return endpoint


def _health(
    probe: Call, content: dict[str, bool], model: ServedModel, calls: Sequence[Call]
) -> Endpoint:
    """Answer 200 if a native probe does."""
    check = probe.bind(model, calls)

    async def endpoint(request: Request) -> Response:
        await check(request)
        return _json(content)

    return endpoint


def _index(model: ServedModel, _: Sequence[Call]) -> Endpoint:
    """List the models."""
    version = model.checkpoint.version
    state = {"version": version, "state": "READY", "reason": ""}

    async def endpoint(request: Request) -> Response:
        await model.reader.content(request)  # it may ask for ready models: all are
        return _json([{"name": name, **state} for name in MODELS])

    return endpoint


def _metadata(model: ServedModel, _: Sequence[Call]) -> Endpoint:
    """Describe the inputs and outputs of a model."""
    version = model.checkpoint.version

    async def endpoint(request: Request) -> Response:
        name = find(request.path, version)
        return _json(
            {
                "name": name,
                "versions": [version],
                "platform": f"{NAME}_{model.engine.backend}",
                "inputs": MODELS[name].inputs(model),
                "outputs": MODELS[name].outputs(model),
            }
        )

    return endpoint


def _ready(model: ServedModel, calls: Sequence[Call]) -> Endpoint:
    """Answer 200 if requests for a model are accepted."""
    check = readyz.bind(model, calls)

    async def endpoint(request: Request) -> Response:
        name = find(request.path, model.checkpoint.version)
        await check(request)
        return _json({"name": name, "ready": True})

    return endpoint


def _infer(model: ServedModel, _: Sequence[Call]) -> Endpoint:
    """Compute, as the native call does."""
    check, version = model.gate("batches"), model.checkpoint.version
    available = {
        name: [output["name"] for output in one.outputs(model)]
        for name, one in MODELS.items()
    }

    async def endpoint(request: Request) -> Response:
        check()
        name = find(request.path, version)
        one, body = MODELS[name], await model.reader.content(request)
        asked = Inference(body, request.headers.get(HEADER_LENGTH))
        asked.document.binary_by_output(available[name])  # refuses others in time
        reply = await one.compute(model, request, asked)
        await check_finite(reply, one.source, by_row=one.by_row)
        members: dict[str, Any] = {"model_name": name, "model_version": version}
        if asked.document.id is not None:
            members["id"] = asked.document.id
        parameters = {k: v for k, v in reply.scalars.items() if v is not None}
        if parameters:
            members["parameters"] = parameters
        in_binary = asked.document.binary_by_output(reply.tensors)
        return await respond(reply, members, in_binary)

    return endpoint


def _json(content: object) -> Response:
    return Response(b"application/json", [orjson.dumps(content)], headers=NO_SNIFFING)


def _call(path: str, bind: Bind, methods: tuple[str, ...] = READS) -> Call:
    """Return a call outside the API documentation; the protocol has its own."""
    return Call(
        id=path.removeprefix("/"),
        path=path,
        methods=methods,
        summary="",
        description="",
        tag="service",
        bind=bind,
        is_documented=False,
    )


_PLACES = (*MODELS, "{name}", "{name}/versions/{version}")
CALLS: tuple[Call, ...] = (
    *(_call(f"/v2/models/{place}/infer", _infer, _POST) for place in _PLACES),
    *(_call(f"/v2/models/{place}", _metadata) for place in _PLACES),
    *(_call(f"/v2/models/{place}/ready", _ready) for place in _PLACES),
    _call("/v2", _server),
    _call("/v2/health/live", partial(_health, livez, {"live": True})),
    _call("/v2/health/ready", partial(_health, readyz, {"ready": True})),
    _call("/v2/repository/index", _index, _POST),
)
