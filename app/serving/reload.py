"""
Swap the served checkpoint for the one that is in its place now.

At SIGHUP, or when a watch on the directory sees a change, every file of the checkpoint
there is verified. A new checkpoint is loaded in a thread next to the old one and
warmed; then it becomes the current one. A checkpoint that is refused is logged, and the
old one is still served. A swap ends with the last request that the old model
answers, so at most two are in memory. However often the next swap is requested
meanwhile, it follows once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import perf_counter, sleep
from typing import TypeVar, final

from app.observability.metrics import Metrics
from app.serving.loaded_model import Current, LoadedModel
from app.serving.loader import Loader
from app.serving.watch import Watch
from model import checkpoint
from model.checkpoint import CheckpointError
from model.engine import EngineError

logger = logging.getLogger(__name__)

# While files are copied there, or a directory is replaced in two steps, a checkpoint is
# incomplete for a moment.
_TRIES = 5
_BETWEEN_TRIES_SECONDS = 0.2

_T = TypeVar("_T")


@final
class Reloader:
    """
    Keeps the current model up to date with a checkpoint directory.

    Args:
        watch_seconds: Seconds between two checks of the directory; 0 for none.
    """

    def __init__(
        self,
        loader: Loader,
        current: Current,
        metrics: Metrics,
        directory: Path,
        *,
        watch_seconds: float,
    ) -> None:
        self._loader = loader
        self._current = current
        self._metrics = metrics
        self._directory = directory
        self._watch_seconds = watch_seconds
        self._asked = asyncio.Event()
        self._refused: str | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="load")

    def ask(self) -> None:
        """Have the directory checked, now or after the swap that is in progress."""
        self._asked.set()

    @asynccontextmanager
    async def reloading(self) -> AsyncIterator[None]:
        """Swap when asked, and watch, until the end; then close what is served."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self._thread.shutdown()
            await asyncio.to_thread(self._current.loaded.close)

    async def _run(self) -> None:
        watch = Watch(self._directory)
        while True:
            try:
                async with asyncio.timeout(self._watch_seconds or None):
                    await self._asked.wait()
            except TimeoutError:
                if await self._in_thread(watch.has_news):
                    await self._look()
            else:
                self._asked.clear()
                self._refused = None  # whoever asks gets the reason again
                if not await self._look():
                    version = self._current.loaded.version
                    logger.info("checkpoint %s is unchanged", version)

    async def _look(self) -> bool:
        """Serve the checkpoint there if it is sound; return False if it is the same."""
        served, started = self._current.loaded, perf_counter()
        try:
            new = await self._in_thread(lambda: self._loaded(served.sha256))
            self._refused = None
            if new is None:
                return False
        except (CheckpointError, EngineError) as error:
            await self._refuse(error)
            return True
        except Exception as error:  # a defect; what is served is none the worse for it
            logger.exception("a checkpoint could not be loaded")
            await self._refuse(error)
            return True
        old, self._current.loaded = self._current.loaded, new
        self._metrics.describe(**new.labels)
        self._metrics.observe_swap("swapped")
        words = (served.version, new.version, perf_counter() - started)
        logger.info("checkpoint %s gave way to %s in %.2f s", *words)
        try:
            await old.use.ended()
        finally:
            await self._in_thread(old.close)
        return True

    def _loaded(self, served: str) -> LoadedModel | None:
        """
        Load the checkpoint there; return None if it is the one with this sha256.

        Raises:
            CheckpointError: A file of it is damaged, also if it is the same one.
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
        """Return the sha256 of the checkpoint there, if there is one."""
        try:
            return checkpoint.identity(self._directory)
        except CheckpointError:
            return None

    async def _refuse(self, error: Exception) -> None:
        """Log why the checkpoint there is refused, once for each that a watch finds."""
        found = await self._in_thread(self._found) or str(error)
        if found == self._refused:
            return
        self._refused = found
        self._metrics.observe_swap("refused")
        version = self._current.loaded.version
        logger.error(
            "checkpoint %s is still served, the one on disk is refused: %s",
            version,
            error,
        )

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, work)
