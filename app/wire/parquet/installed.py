"""Whether Parquet can be read and written: it needs pyarrow, the extra `parquet`."""

from importlib.util import find_spec


def is_installed() -> bool:
    """Return whether pyarrow is there; it is imported when it is first needed."""
    return find_spec("pyarrow") is not None
