"""The schema of problem documents, for the API documentation."""

from typing import Annotated

from pydantic import Field

from app.http.schema import StrictObject


class ProblemFault(StrictObject):
    """An error in a request."""

    pointer: Annotated[str, Field(description="JSON pointer (RFC 6901).")]
    detail: str


class Problem(StrictObject):
    """An error response (RFC 9457)."""

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
