"""The phases of a connection, and how long each may last without progress."""

from typing import Literal

from app.settings import Settings

Phase = Literal["head", "body", "response", "idle", "unread", "refused"]

_LINGER_SECONDS = 1.0


def seconds(phase: Phase, limits: Settings, n_body: int) -> float:
    """Return the time limit of a phase, after `n_body` bytes of the body."""
    match phase:
        case "head":
            return limits.head_timeout
        case "body":
            # A rate: a fixed total would forbid large bodies on slow networks.
            return limits.body_timeout + n_body / limits.min_body_rate
        case "idle" | "unread":
            return limits.idle_timeout
        case "refused":
            return _LINGER_SECONDS
        case "response":
            return float("inf")
