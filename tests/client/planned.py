"""Plans of calls, carried out against a service in this process."""

from dataclasses import replace
from typing import TypeVar

from tests.app.served import Served
from vae_client import ModelResult
from vae_client.http_messages import HttpResponse
from vae_client.plans import CallPlan
from vae_client.problems import check_status

R = TypeVar("R")


def result_of(served: Served, plan: CallPlan[R]) -> R:
    """Send the requests of a plan over ASGI, and return the joined result."""
    results = []
    for request in plan.requests:
        came = served.request(
            request.method,
            request.path,
            params=request.parameters(),
            headers=request.headers(),
            content=request.body(),
        )
        response = HttpResponse(came.status_code, came.headers, came.content)
        check_status(request, response)
        results.append(plan.read(request, response))
    return plan.join(results)


def with_limits(model: ModelResult, **limits: int) -> ModelResult:
    """Return the model with other limits."""
    return replace(model, limits=replace(model.limits, **limits))
