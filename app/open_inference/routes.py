"""
The URLs of the Open Inference Protocol.

A path that names a model and no version is answered by the fast path. One with a
version, or with a model that does not exist, has a route with parameters.
"""

from collections.abc import Callable, Sequence

import orjson

from app.call_parts.call import READS, Bind, Call, Endpoint, acceptance_check, get
from app.call_parts.document import NO_SNIFFING
from app.call_parts.served_model import ServedModel
from app.calls.livez import livez
from app.calls.readyz import readyz
from app.errors import NotFoundError
from app.http.request import Request
from app.http.response import Response
from app.open_inference.inference import HEADER_LENGTH, Inference
from app.open_inference.models import MODELS
from app.open_inference.response import respond
from app.version import service_version

NAME = "vae-service"
EXTENSIONS = ["binary_tensor_data"]
_POST = ("POST",)


def _infer(model: ServedModel, _: Sequence[Call]) -> Endpoint:
    """Compute, as the native call does."""
    check, version = acceptance_check(model, "batches"), model.checkpoint.version
    available = {
        name: [output["name"] for output in one.outputs(model)]
        for name, one in MODELS.items()
    }

    async def endpoint(request: Request) -> Response:
        check()
        name = _model_in(request.path, version)
        body = await model.reader.read_content(request)
        asked = Inference(body, request.headers.get(HEADER_LENGTH))
        asked.document.binary_by_output(available[name])  # refuses others in time
        reply = await MODELS[name].reply(model, request, asked)
        in_binary = asked.document.binary_by_output(reply.tensors)
        names = {"model_name": name, "model_version": version, "id": asked.document.id}
        return await respond(reply, in_binary, names)

    return endpoint


def _describe_server(_: ServedModel, __: str) -> object:
    return {"name": NAME, "version": service_version(), "extensions": EXTENSIONS}


def _list_models(model: ServedModel, _: str) -> object:
    state = {"version": model.checkpoint.version, "state": "READY", "reason": ""}
    return [{"name": name, **state} for name in MODELS]


def _describe_model(model: ServedModel, path: str) -> object:
    version = model.checkpoint.version
    name = _model_in(path, version)
    return {
        "name": name,
        "versions": [version],
        "platform": f"{NAME}_{model.engine.backend}",
        "inputs": MODELS[name].inputs(model),
        "outputs": list(MODELS[name].outputs(model)),
    }


def _name_ready_model(model: ServedModel, path: str) -> object:
    return {"name": _model_in(path, model.checkpoint.version), "ready": True}


def _model_in(path: str, version: str) -> str:
    """
    Return the name of the model in a path.

    Raises:
        NotFoundError: There is no such model, or no such version of it.
    """
    _, _, _, name, *rest = path.split("/")
    if name not in MODELS:
        raise NotFoundError(f"expected a model of {', '.join(MODELS)}")
    if rest[:1] == ["versions"] and rest[1] != version:
        raise NotFoundError(f"expected version {version}, which is served now")
    return name


def _document(
    path: str,
    content: Callable[[ServedModel, str], object],
    probe: Call | None = None,
    methods: tuple[str, ...] = READS,
) -> Call:
    """
    Return a call that answers with a JSON document.

    Args:
        content: Returns what is in the document, for a model and the path.
        probe: A native call that must answer 200.
    """

    def bind(model: ServedModel, calls: Sequence[Call]) -> Endpoint:
        check = probe and probe.bind(model, calls)

        async def endpoint(request: Request) -> Response:
            found = content(model, request.path)
            if check is not None:
                await check(request)
            if request.method == "POST":  # with options, which all models fit
                await model.reader.read_content(request)
            body = orjson.dumps(found)
            return Response(b"application/json", [body], headers=NO_SNIFFING)

        return endpoint

    return _call(path, bind, methods)


def _call(path: str, bind: Bind, methods: tuple[str, ...]) -> Call:
    """Return a call outside the API documentation; the protocol has its own."""
    return get(path, summary="", methods=methods, is_documented=False)(bind)


_PLACES = (*MODELS, "{name}", "{name}/versions/{version}")
_MODELS = tuple(f"/v2/models/{place}" for place in _PLACES)
CALLS: tuple[Call, ...] = (
    *(_call(f"{model}/infer", _infer, _POST) for model in _MODELS),
    *(_document(model, _describe_model) for model in _MODELS),
    *(_document(f"{model}/ready", _name_ready_model, readyz) for model in _MODELS),
    _document("/v2", _describe_server),
    _document("/v2/health/live", lambda _, __: {"live": True}, livez),
    _document("/v2/health/ready", lambda _, __: {"ready": True}, readyz),
    _document("/v2/repository/index", _list_models, methods=_POST),
)
