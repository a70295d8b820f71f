"""What a connection may be doing, and how long it may be without any change."""

from typing import Literal

from app.settings import Settings

Phase = Literal["head", "body", "answer", "idle", "unread", "refused"]

_LINGER_SECONDS = 1.0


def seconds(phase: Phase, limits: Settings, n_body: int) -> float:
    """Return how long a connection may stay in a phase, `n_body` bytes having come."""
    match phase:
        case "head":
            return limits.head_timeout
        case "body":
            # A rate, as a total would forbid large bodies on slow lines.
            return limits.body_timeout + n_body / limits.min_body_rate
        case "idle" | "unread":
            return limits.idle_timeout
        case "refused":
            return _LINGER_SECONDS
        case "answer":
            return float("inf")
