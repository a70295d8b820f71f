"""Turns any exception into a response with a problem document."""

import logging

from app.errors import MEDIA_TYPE, InternalError, ProblemError, out_of_memory
from app.http.response import Response
from app.observability.tracebacks import name_of, without_messages
from model.engine import is_out_of_memory

OPEN_INFERENCE = "/v2"

logger = logging.getLogger(__name__)


def problem_of(error: Exception, request_id: str) -> ProblemError:
    """
    Return the problem for an exception, and log what the client must not see.

    A bug is logged without exception messages, which may contain a client's data.
    """
    if isinstance(error, ProblemError):
        return error
    if is_out_of_memory(error):
        logger.warning("request %s: out of memory: %s", request_id, name_of(error))
        return out_of_memory()
    logger.error("request %s failed\n%s", request_id, without_messages(error))
    return InternalError()


def problem_response(problem: ProblemError, path: str, request_id: str) -> Response:
    """Return a problem of a request for a path as a response."""
    media_type, document = error_body(problem, path, request_id, instance=path)
    return Response(
        media_type, [document], status=problem.status, headers=problem.headers
    )


def error_body(
    problem: ProblemError, path: str, request_id: str, *, instance: str
) -> tuple[bytes, bytes]:
    """
    Return the media type and the body of a problem of a request for a path.

    Below `/v2` it is an error of the Open Inference Protocol, else a problem document.
    """
    if path == OPEN_INFERENCE or path.startswith(f"{OPEN_INFERENCE}/"):
        return b"application/json", problem.brief(request_id=request_id)
    return MEDIA_TYPE, problem.document(instance=instance, request_id=request_id)
