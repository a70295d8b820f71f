"""
Replaces the served checkpoint when its origin has a new one.

On SIGHUP, or when polling the directory or the URL finds a change, a checkpoint behind
a URL is copied, and every file is verified. A new checkpoint is loaded and warmed up in
a thread, next to the old one; then it becomes the current one. If it is refused, the
reason is logged and the old one is still served. A swap ends with the last request that
uses the old model, so at most two models are in memory. Requests to reload during a
swap are combined into one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from time import perf_counter, sleep
from typing import TypeVar, final

from app.observability.metrics import Metrics
from app.serving.loaded_model import Current, LoadedModel
from app.serving.loader import Loader
from app.serving.origin import CheckpointOrigin
from model import checkpoint
from model.checkpoint import CheckpointError
from model.engine import EngineError

logger = logging.getLogger(__name__)

# A checkpoint is incomplete for a moment while its files are copied, or while a
# directory is replaced in two steps.
_TRIES = 5
_BETWEEN_TRIES_SECONDS = 0.2

_T = TypeVar("_T")


@final
class Reloader:
    """
    Keeps the current model up to date with the origin of its checkpoint.

    Args:
        watch_seconds: Seconds between two checks of the origin; 0 to not check.
    """

    def __init__(
        self,
        loader: Loader,
        current: Current,
        metrics: Metrics,
        origin: CheckpointOrigin,
        *,
        watch_seconds: float,
    ) -> None:
        self._loader = loader
        self._current = current
        self._metrics = metrics
        self._origin = origin
        self._directory = origin.directory
        self._watch_seconds = watch_seconds
        self._requested = asyncio.Event()
        self._refused: str | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="load")

    def request(self) -> None:
        """Request a check of the origin, now or after the swap in progress."""
        self._requested.set()

    @asynccontextmanager
    async def reloading(self) -> AsyncIterator[None]:
        """Handle requests and check the origin; at the end close the model."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            # In a thread: a checkpoint that is being loaded takes long.
            await asyncio.to_thread(self._thread.shutdown)
            await asyncio.to_thread(self._current.loaded.close)

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._watch_seconds or None):
                    await self._requested.wait()
            except TimeoutError:
                if await self._origin.has_changed():
                    await self._reload()
            else:
                self._requested.clear()
                self._refused = None  # log the reason again after each SIGHUP
                if not await self._reload():
                    version = self._current.loaded.version
                    logger.info("checkpoint %s is unchanged", version)

    async def _reload(self) -> bool:
        """Serve the origin's checkpoint if valid; return False if it is unchanged."""
        served, started = self._current.loaded, perf_counter()
        try:
            await self._origin.update()
            new = await self._in_thread(lambda: self._load_if_new(served.sha256))
            self._refused = None
            if new is None:
                return False
        except (CheckpointError, EngineError) as error:
            await self._refuse(error)
            return True
        except Exception as error:  # a bug; keep serving the old checkpoint
            logger.exception("a checkpoint could not be loaded")
            await self._refuse(error)
            return True
        old, self._current.loaded = self._current.loaded, new
        self._metrics.describe(**new.labels)
        self._metrics.observe_swap("swapped")
        figures = (served.version, new.version, perf_counter() - started)
        logger.info("checkpoint %s was replaced by %s in %.2f s", *figures)
        try:
            await old.in_flight.ended()
        finally:
            await self._in_thread(old.close)
        return True

    def _load_if_new(self, served: str) -> LoadedModel | None:
        """
        Load the checkpoint on disk; return None if it has this sha256.

        Raises:
            CheckpointError: A file of it is damaged, even if it is unchanged.
        """
        n_tries = 0
        while True:
            found = self._found()
            try:
                if found == served and checkpoint.verify(self._directory) == served:
                    return None
                return self._loader.load()
            except CheckpointError:
                n_tries += 1
                is_settled = found is not None and found == self._found()
                if is_settled or n_tries == _TRIES:
                    raise
                sleep(_BETWEEN_TRIES_SECONDS)

    def _found(self) -> str | None:
        """Return the sha256 of the checkpoint on disk, if there is one."""
        try:
            return checkpoint.identity(self._directory)
        except CheckpointError:
            return None

    async def _refuse(self, error: Exception) -> None:
        """Log why a new checkpoint is refused, once for each checkpoint."""
        served, found = self._current.loaded, await self._in_thread(self._found)
        # Without a new one on disk, the reason says what was refused.
        key = str(error) if found in (None, served.sha256) else found
        if key == self._refused:
            return
        self._refused = key
        self._metrics.observe_swap("refused")
        logger.error(
            "checkpoint %s is still served, the new one is refused: %s",
            served.version,
            error,
        )

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, work)
