"""GET /metrics: counters and times, as Prometheus reads them."""

from collections.abc import Sequence

from app.call_parts.call import Call, Endpoint, get
from app.call_parts.document import plain_text
from app.call_parts.served_model import ServedModel
from app.http.exchange import Request, Response
from app.observability.metrics import MEDIA_TYPE


@get("/metrics", summary="Metrics in Prometheus's format", methods=("GET",))
def metrics(model: ServedModel, _: Sequence[Call]) -> Endpoint:
    """Return the metrics as Prometheus reads them."""

    async def endpoint(_: Request) -> Response:
        return plain_text(model.metrics.exposition(), MEDIA_TYPE.encode())

    return endpoint
