"""GET /metrics: the metrics for Prometheus."""

from collections.abc import Sequence

from app.call_parts.call import Call, Endpoint, get
from app.call_parts.document import plain_text
from app.call_parts.served_model import ServedModel
from app.http.request import Request
from app.http.response import Response
from app.observability.metrics import MEDIA_TYPE


@get("/metrics", summary="Metrics for Prometheus")
def metrics(model: ServedModel, _: Sequence[Call]) -> Endpoint:
    """Return the metrics in the text format of Prometheus."""

    async def endpoint(_: Request) -> Response:
        return plain_text(await model.metrics.exposition(), MEDIA_TYPE.encode())

    return endpoint
