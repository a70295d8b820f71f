"""The version of this service."""

from importlib.metadata import PackageNotFoundError, version


def service_version() -> str:
    """Return the installed version of this service, "unknown" if not installed."""
    try:
        return version("vae-service")
    except PackageNotFoundError:
        return "unknown"
