"""What `/interpolate` and `/traverse` share: they read x or z, and decode points."""

from typing import Literal, NamedTuple, TypeVar, final

from app.call_parts.served_model import ServedModel
from app.errors import ContentTooLargeError, Fault, UnprocessableError
from app.http.request import Request
from app.http.schema import StrictObject
from app.wire.layout import Array

DEFAULT_POINTS = 11

Options = TypeVar("Options", bound=StrictObject)


@final
class Ends(NamedTuple):
    """
    Latents of a request, (N, J).

    Attributes:
        name: Whether the client sent z, or x, which is encoded to the mean of q(z|x).
    """

    z: Array
    name: Literal["x", "z"]


async def read(
    model: ServedModel, request: Request, schema: type[Options], *, n_rows: int
) -> tuple[Ends, Options]:
    """
    Read a request with exactly `n_rows` rows of x or of z.

    Raises:
        UnprocessableError: It has another number of rows.
    """
    name, rows, options = await model.reader.read_either(request, schema)
    if len(rows.values) != n_rows:
        what = f"expected {n_rows} rows, got {len(rows.values)}"
        raise UnprocessableError(Fault(f"/{name}", what))
    if name == "z":
        return Ends(rows.values, name), options
    return Ends((await model.compute.encode(rows.values)).mu, name), options


def check_points(model: ServedModel, request: Request, n: int) -> None:
    """
    Check the number of points to decode, and reserve memory for the response.

    Raises:
        ContentTooLargeError: There are too many points.
        OverloadedError: The budget for all responses is full.
    """
    limit = model.settings.max_rows
    if n > limit:
        raise ContentTooLargeError(f"expected at most {limit} points, got {n}")
    model.reserve_output(request, n)
