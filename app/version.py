"""The version of this service."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def service_version() -> str:
    """Return the installed version of this service, "unknown" if not installed."""
    try:
        return version("vae-service")
    except PackageNotFoundError:
        return "unknown"
