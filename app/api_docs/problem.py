"""The schema of problem documents, for the API documentation."""

from typing import Annotated

from pydantic import Field

from app.http.schema import StrictObject


class ProblemFault(StrictObject):
    """One thing wrong in a request."""

    pointer: Annotated[str, Field(description="JSON pointer (RFC 6901).")]
    detail: str


class Problem(StrictObject):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Field(description="What was wanted and what came.")]
    instance: Annotated[str, Field(description="The path asked for.")]
    request_id: str
    errors: Annotated[
        list[ProblemFault],
        Field(default_factory=list, description="With 422, the faults."),
    ]
