"""Which failures are worth another try, and how long to wait before it."""

from vae_client.errors import ConnectionFailedError, StatusError, VaeError

RETRIED = frozenset({429, 502, 503, 504})
FIRST_WAIT_SECONDS = 0.2
MAX_RETRY_AFTER_SECONDS = 30.0


def seconds_before_retry(failure: VaeError, n_failed: int, *, u: float) -> float | None:
    """
    Return how long to wait before the next try, or None if a retry will not help.

    The wait doubles with each failure and is 0.2 s on average at first. It is added to
    the service's `Retry-After`, with random jitter, so that many clients that were
    refused at the same time do not all return at the same time.

    Args:
        n_failed: How many tries have failed before this one.
        u: The jitter, drawn from U[0, 1).
    """
    wait = FIRST_WAIT_SECONDS * float(2**n_failed) * (0.5 + u)
    if isinstance(failure, ConnectionFailedError):
        return wait
    if not isinstance(failure, StatusError) or failure.status not in RETRIED:
        return None
    retry_after = failure.retry_after or 0.0
    return None if retry_after > MAX_RETRY_AFTER_SECONDS else retry_after + wait
