"""GET /readyz: whether requests should be sent here."""

from collections.abc import Sequence

from app.call_parts.call import Call, Endpoint, get
from app.call_parts.document import plain_text
from app.call_parts.served_model import ServedModel
from app.errors import UnavailableError
from app.http.request import Request
from app.http.response import Response


@get("/readyz", summary="Whether requests are accepted")
def readyz(model: ServedModel, _: Sequence[Call]) -> Endpoint:
    """Return 200 if requests are accepted: loaded, warmed up, and not stopping."""

    async def endpoint(_: Request) -> Response:
        model.lifecycle.check_ready()
        if not model.compute.batcher.is_alive:
            raise UnavailableError("compute has stopped", retry_after_seconds=1)
        return plain_text(b"ready\n")

    return endpoint
