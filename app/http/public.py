"""The paths that can be read without a key."""

from app.connection.admission import PROBES
from app.settings import Settings

METRICS = frozenset({"/metrics"})


def public_paths(settings: Settings) -> frozenset[str]:
    """Return the paths that can be read without a key."""
    return PROBES | METRICS if settings.metrics_public else PROBES
