"""The HTTP library: httpx, or httpx2 where only that is installed."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING or find_spec("httpx"):
    import httpx
else:
    import httpx2 as httpx

__all__ = ["httpx"]
