"""GET /livez: whether the process should be kept running."""

from collections.abc import Sequence

from app.call_parts.call import Call, Endpoint, get
from app.call_parts.document import plain_text
from app.call_parts.served_model import ServedModel
from app.compute.batcher import STALLED_SECONDS
from app.errors import UnavailableError
from app.http.request import Request
from app.http.response import Response

DEAD_SECONDS = 2 * STALLED_SECONDS


@get("/livez", summary="Whether the process is alive")
def livez(model: ServedModel, _: Sequence[Call]) -> Endpoint:
    """Return 200 if the process serves HTTP and computes; otherwise restart it."""

    async def endpoint(_: Request) -> Response:
        if model.compute.batcher.stalled_seconds > DEAD_SECONDS:
            raise UnavailableError("compute is dead", retry_after_seconds=1)
        return plain_text(b"ok\n")

    return endpoint
