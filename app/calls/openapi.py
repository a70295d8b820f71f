"""GET /openapi.json: the OpenAPI document of the served model."""

from collections.abc import Sequence

import orjson

from app.api_docs import openapi as api_docs
from app.call_parts.call import Call, Endpoint, get
from app.call_parts.document import NO_SNIFFING
from app.call_parts.served_model import ServedModel
from app.http.request import Request
from app.http.response import Response


@get("/openapi.json", summary="This document", is_documented=False)
def openapi(model: ServedModel, calls: Sequence[Call]) -> Endpoint:
    """Return the OpenAPI document; behind a path prefix, it contains the prefix."""
    document = api_docs.document(calls, model)

    async def endpoint(request: Request) -> Response:
        prefix = request.root_path
        servers = {"servers": [{"url": prefix}]} if prefix else {}
        content = orjson.dumps({**document, **servers})
        return Response(b"application/json", [content], headers=NO_SNIFFING)

    return endpoint
