"""
Swaps the checkpoint that is served for the one that lies in its place now.

At SIGHUP, or when a watch on the directory sees something new there, the new checkpoint
is loaded beside the old in a thread, verified and rehearsed; then the pipeline is given
its loaded. One that is refused is logged, and the old one serves on. A swap ends with
the last request that the old loaded answers, so that never more than two are in
memory; however often the next is asked for meanwhile, it follows once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import perf_counter, sleep
from typing import TypeVar, final

from app.middleware.pipeline import Pipeline
from app.observability.metrics import Metrics
from app.serving.loaded_model import LoadedModel
from app.serving.loader import Loader
from app.serving.watch import Watch
from model import checkpoint
from model.checkpoint import CheckpointError
from model.engine import EngineError

logger = logging.getLogger(__name__)

# While a directory is replaced, nothing lies there for a moment, or another manifest
# than that of the files that were read.
_TRIES = 5
_BETWEEN_TRIES_SECONDS = 0.2

_T = TypeVar("_T")


@final
class Reloader:
    """
    Keeps the loaded of an pipeline that of the checkpoint in a directory.

    Args:
        watch_seconds: How often the directory is looked at; 0 for when asked only.
    """

    def __init__(
        self,
        loader: Loader,
        pipeline: Pipeline,
        metrics: Metrics,
        directory: Path,
        *,
        watch_seconds: float,
    ) -> None:
        self._loader = loader
        self._pipeline = pipeline
        self._metrics = metrics
        self._directory = directory
        self._watch_seconds = watch_seconds
        self._asked = asyncio.Event()
        self._refused: str | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="load")

    def ask(self) -> None:
        """Have the directory looked at, now or after the swap that is under way."""
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
            self._pipeline.loaded.close()

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
                self._refused = None  # who asks is told again
                if not await self._look():
                    version = self._pipeline.loaded.card.version
                    logger.info("checkpoint %s is unchanged", version)

    async def _look(self) -> bool:
        """Serve what lies there now if it is good; return whether it is another."""
        served, started = self._pipeline.loaded.card, perf_counter()
        try:
            new = await self._in_thread(lambda: self._loaded(served.sha256))
            if new is None:
                return False
        except (CheckpointError, EngineError) as error:
            await self._refuse(error)
            return True
        except Exception as error:  # a defect; what is served is none the worse for it
            logger.exception("a checkpoint could not be loaded")
            await self._refuse(error)
            return True
        old, self._pipeline.loaded = self._pipeline.loaded, new
        self._metrics.describe(**new.labels)
        self._metrics.observe_swap("swapped")
        words = (served.version, new.card.version, perf_counter() - started)
        logger.info("checkpoint %s gave way to %s in %.2f s", *words)
        try:
            await old.use.ended()
        finally:
            await self._in_thread(old.close)
        return True

    def _loaded(self, served: str) -> LoadedModel | None:
        """Return what lies there, None if it is what is served by its sha256."""
        n_tries = 0
        while True:
            found = self._found()
            try:
                return None if found == served else self._loader.load()
            except CheckpointError:
                n_tries += 1
                is_settled = found is not None and found == self._found()
                if is_settled or n_tries == _TRIES:
                    raise
                sleep(_BETWEEN_TRIES_SECONDS)

    def _found(self) -> str | None:
        """Return the sha256 of the checkpoint that lies there, if there is one."""
        try:
            return checkpoint.identity(self._directory)
        except CheckpointError:
            return None

    async def _refuse(self, error: Exception) -> None:
        """Tell that what lies there is not served, once of each that a watch finds."""
        found = await self._in_thread(self._found) or str(error)
        if found == self._refused:
            return
        self._refused = found
        self._metrics.observe_swap("refused")
        version = self._pipeline.loaded.card.version
        logger.error(
            "checkpoint %s serves on, the new one is refused: %s", version, error
        )

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, work)
