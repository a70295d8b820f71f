"""Imports pyarrow when Parquet is first read or written."""

from functools import cache
from types import ModuleType
from typing import NamedTuple, final


@final
class Arrow(NamedTuple):
    """pyarrow, and its module for Parquet."""

    arrow: ModuleType
    parquet: ModuleType


@cache
def import_arrow() -> Arrow:
    """Return pyarrow; only in a thread, because the import takes a while."""
    import pyarrow  # noqa: PLC0415  an extra
    from pyarrow import parquet  # noqa: PLC0415

    # Memory that is freed returns to the system as all other does.
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    return Arrow(pyarrow, parquet)
