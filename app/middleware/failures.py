"""Turns any exception into a response that reports it."""

import logging

from app.errors import InternalError, ProblemError, out_of_memory
from app.http.response import Response
from app.observability.tracebacks import name_of, without_messages
from model.engine import is_out_of_memory

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
    media_type, body = problem.body(path, instance=path, request_id=request_id)
    return Response(media_type, [body], status=problem.status, headers=problem.headers)
