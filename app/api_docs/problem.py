"""The schema of problem documents, for the API documentation."""

from typing import Annotated

from pydantic import Field

from app.http.schema import StrictObject


class ProblemFault(StrictObject):
    """
    An error in a request.

    Attributes:
        detail: What was expected there, and what came.
    """

    pointer: Annotated[str, Field(description="JSON pointer (RFC 6901).")]
    detail: str


class Problem(StrictObject):
    """
    An error response (RFC 9457).

    Attributes:
        type: Always `about:blank`: the status says the kind of error.
        title: The words of the status.
        status: The status code.
        request_id: As in the header `X-Request-ID`, and in the log.
    """

    type: str
    title: str
    status: int
    detail: Annotated[str, Field(description="What was expected, and what came.")]
    instance: Annotated[str, Field(description="The requested path.")]
    request_id: str
    errors: Annotated[
        list[ProblemFault],
        Field(default_factory=list, description="With 422, each error."),
    ]
