"""The paths in latent space as `Operation`s, beside those of `app.operation_routes`."""

from app.endpoints import ALL_ARRAYS
from app.http.reader import NAMED
from app.operation_routes import Operation
from app.paths.endpoints import PathEndpoints
from app.paths.schemas import (
    InterpolateOptions,
    InterpolateRequest,
    InterpolateResponse,
    TraverseOptions,
    TraverseRequest,
    TraverseResponse,
)


def operations(endpoints: PathEndpoints) -> tuple[Operation, ...]:
    """Return both."""
    return (
        Operation(
            id="interpolate",
            path="/interpolate",
            methods=("POST",),
            summary="From one x or z to another through latent space",
            endpoint=endpoints.interpolate,
            request=InterpolateRequest,
            options=InterpolateOptions,
            response=InterpolateResponse,
            readable=NAMED,
            writable=ALL_ARRAYS,
        ),
        Operation(
            id="traverse",
            path="/traverse",
            methods=("POST",),
            summary="What each latent dimension does",
            endpoint=endpoints.traverse,
            request=TraverseRequest,
            options=TraverseOptions,
            response=TraverseResponse,
            readable=NAMED,
            writable=ALL_ARRAYS,
        ),
    )
