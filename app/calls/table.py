"""
The URL map: every call of the service.

To add a call, write its file next to this one and add it here. The router, the fast
path, the API documentation and the lists in `/model` are derived from this table.
"""

from app.call_parts.call import Call
from app.calls.anomaly import anomaly
from app.calls.decode import decode
from app.calls.elbo import elbo
from app.calls.encode import encode
from app.calls.examples import examples
from app.calls.gap import gap
from app.calls.impute import impute
from app.calls.interpolate import interpolate
from app.calls.livez import livez
from app.calls.loglik import loglik
from app.calls.metrics import metrics
from app.calls.model import model
from app.calls.openapi import openapi
from app.calls.posterior import posterior
from app.calls.readyz import readyz
from app.calls.reconstruct import reconstruct
from app.calls.refine import refine
from app.calls.sample import sample, sample_by_query
from app.calls.traverse import traverse
from app.settings import Settings

CALLS: tuple[Call, ...] = (
    encode,
    decode,
    sample,
    sample_by_query,
    elbo,
    reconstruct,
    interpolate,
    traverse,
    loglik,
    gap,
    refine,
    posterior,
    anomaly,
    impute,
    model,
    openapi,
    examples,
    livez,
    readyz,
    metrics,
)


def calls(settings: Settings) -> tuple[Call, ...]:
    """Return the calls to serve; `/examples` only with the explorer page."""
    return tuple(call for call in CALLS if settings.explorer or call is not examples)
