"""The option of calls that respond with rows of data: as arrays, or by name."""

from typing import Annotated

from pydantic import Field

from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import OnlyIf, has_columns
from app.errors import Fault, UnprocessableError
from app.http.schema import StrictObject
from app.wire.negotiation import JSON, Format
from app.wire.reply import Orient


class RowOutput(StrictObject):
    """How rows of data are written."""

    orient: Annotated[
        Orient,
        Field(
            description="For application/json: rows of data as `arrays`, as `records` "
            "(an object for each row, by the names of the columns), or as `split`: "
            '`{"columns": [...], "data": [[...], ...]}`.'
        ),
        OnlyIf(has_columns),
    ] = "arrays"


def check_orient(model: ServedModel, options: RowOutput, format_: Format) -> None:
    """
    Check that rows can be written by name.

    Raises:
        UnprocessableError: The columns have no names, or the response is not JSON.
    """
    if options.orient == "arrays":
        return
    if model.config.data.columns is None:
        what = "expected arrays: the columns of this model have no names"
        raise UnprocessableError(Fault("/orient", what))
    if format_ is not JSON:
        what = "only for a response in application/json, by Accept"
        raise UnprocessableError(Fault("/orient", what))
