"""The schema of problem documents, for the API documentation."""

from typing import Annotated

from pydantic import Field

from app.http.schema import StrictObject


class ProblemFault(StrictObject):
    """An error in a request."""

    pointer: Annotated[str, Field(description="JSON pointer (RFC 6901).")]
    detail: Annotated[str, Field(description="What was expected there, and what came.")]


class Problem(StrictObject):
    """An error response (RFC 9457)."""

    type: Annotated[
        str,
        Field(description="Always `about:blank`: the status says the kind of error."),
    ]
    title: Annotated[str, Field(description="The words of the status.")]
    status: Annotated[int, Field(description="The status code.")]
    detail: Annotated[str, Field(description="What was expected, and what came.")]
    instance: Annotated[str, Field(description="The requested path.")]
    request_id: Annotated[
        str, Field(description="As in the header `X-Request-ID`, and in the log.")
    ]
    errors: Annotated[
        list[ProblemFault],
        Field(default_factory=list, description="With 422, each error."),
    ]
