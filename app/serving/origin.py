"""Where the served checkpoint comes from: a directory, or a URL that is copied."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar, final

from app.serving.watch import Watch
from app.settings import Settings
from model import checkpoint
from model.checkpoint import CheckpointError
from model.remote.copies import remote_identity, update
from model.remote.location import RemoteLocation
from model.remote.source import UnreachableError

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


@final
class CheckpointOrigin:
    """
    Looks for a new checkpoint where the served one comes from, and copies it.

    Attributes:
        directory: The checkpoint's directory, or that of its copy.
    """

    def __init__(self, settings: Settings) -> None:
        self.directory = settings.checkpoint_directory
        self._location = settings.checkpoint
        self._cache = settings.checkpoint_cache
        self._watch: Watch | RemoteWatch = (
            Watch(self.directory)
            if isinstance(self._location, Path)
            else RemoteWatch(self._location, self.directory)
        )

    async def has_changed(self) -> bool:
        """Return whether there is a new checkpoint, once for each."""
        return await _in_daemon_thread(self._watch.has_changed)

    async def update(self) -> None:
        """
        Copy the checkpoint behind a URL if it is another one; it may take long.

        Raises:
            CheckpointError: It cannot be copied; the copy is unchanged.
        """
        where = self._location
        if not isinstance(where, Path):
            await _in_daemon_thread(lambda: update(where, self._cache))


@final
class RemoteWatch:
    """Compares the checkpoint behind a URL with its copy."""

    def __init__(self, where: RemoteLocation, directory: Path) -> None:
        self._where = where
        self._directory = directory
        self._reported: str | None = None
        self._is_silent = False

    def has_changed(self) -> bool:
        """
        Return True once for each checkpoint, and while the copy is of another one.

        So a copy that failed, perhaps because an upload was not complete, is tried
        again. A checkpoint that is pinned does not change.
        """
        if self._where.sha256 is not None:
            return False
        try:
            found = remote_identity(self._where)
        except (CheckpointError, UnreachableError) as error:
            if not self._is_silent:  # once for each outage
                logger.warning("cannot look for a new checkpoint: %s", error)
            self._is_silent = True
            return False
        self._is_silent = False
        if found == self._reported and found == self._copied():
            return False
        self._reported = found
        return True

    def _copied(self) -> str | None:
        """Return the sha256 of the copy, if there is one."""
        try:
            return checkpoint.identity(self._directory)
        except CheckpointError:
            return None


async def _in_daemon_thread(work: Callable[[], _T]) -> _T:
    """Run something in a thread that a shutdown does not wait for."""
    future: Future[_T] = Future()

    def run() -> None:
        future.set_running_or_notify_cancel()
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  raised where it is awaited
            future.set_exception(error)

    threading.Thread(target=run, name="origin", daemon=True).start()
    return await asyncio.wrap_future(future)
