"""The check that every response of a call comes from one and the same model."""

from collections.abc import Iterable
from threading import Lock
from typing import Any, NamedTuple, final

from numpy.typing import NDArray

from vae_client.errors import ModelChangedError
from vae_client.http_messages import HttpResponse

HEADER = "x-model-version"


@final
class PreparedRows(NamedTuple):
    """
    Rows as they are sent.

    Attributes:
        name: x, z or mask.
        version: The model whose columns they have; None if they were no data frame.
    """

    name: str
    values: NDArray[Any]
    version: str | None = None


@final
class SameModel:
    """
    The model of one call.

    Args:
        version: The model that the request was prepared for, as by the order of its
            columns; None if any model will do, but the same for all responses.
    """

    def __init__(self, version: str | None) -> None:
        self._version = version
        self._lock = Lock()

    def check(self, response: HttpResponse) -> None:
        """
        Check that a response is of the model of this call.

        Raises:
            ModelChangedError: It is of another one.
        """
        came = response.headers.get(HEADER)
        if came is None:
            return
        with self._lock:
            self._version = self._version or came
            if came != self._version:
                raise _changed(self._version, came, response.url)


def common_version(url: str, rows: Iterable[PreparedRows]) -> str | None:
    """
    Return the model that arrays of one request were prepared for, if any.

    Raises:
        ModelChangedError: They were prepared for two models.
    """
    versions = [one.version for one in rows if one.version is not None]
    for version in versions[1:]:
        if version != versions[0]:
            raise _changed(versions[0], version, url)
    return versions[0] if versions else None


def _changed(version: str, came: str, url: str) -> ModelChangedError:
    return ModelChangedError(
        f"{url} loaded another model during the call: expected {version} in all "
        f"responses, got {came} too; call again"
    )
