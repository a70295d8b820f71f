"""Loads checkpoints: reads and verifies them, and binds them to the calls."""

import logging
from collections.abc import Sequence
from typing import final

from app.call_parts.call import Call
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import Facts
from app.compute.analysis_threads import AnalysisThreads
from app.compute.batcher import Capacity
from app.compute.operations import Operations
from app.http.reader import Reader
from app.http.response_budget import ResponseBudget
from app.lifecycle import Lifecycle
from app.observability.metrics import Metrics
from app.serving.loaded_model import LoadedModel
from app.settings import Settings
from model.checkpoint import MANIFEST, CheckpointError, golden
from model.checkpoint.version_1 import rounding
from model.engine import Engine
from model.engine.analyses import Analyst
from model.engine.elbo_terms import elbo_of

logger = logging.getLogger(__name__)


@final
class Loader:
    """Loads the models of one service."""

    def __init__(
        self,
        calls: Sequence[Call],
        settings: Settings,
        lifecycle: Lifecycle,
        metrics: Metrics,
    ) -> None:
        self._calls = calls
        self._settings = settings
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._responses = ResponseBudget(max_bytes=settings.max_responses_bytes)

    def load(self) -> LoadedModel:
        """
        Load the checkpoint in its directory; safe in any thread.

        Raises:
            CheckpointError: It is missing or damaged, or does not reproduce the scores
                that training recorded.
            EngineError: The device or the backend is not available.
        """
        engine = Engine.load(
            self._settings.checkpoint_directory,
            device=self._settings.device,
            backend=self._settings.backend,
            n_threads=self._settings.threads,
        )
        self._check_golden(engine)
        return self._bind(engine)

    def _check_golden(self, engine: Engine) -> None:
        """Check that the serving backend reproduces the scores recorded in training."""
        served = engine.checkpoint
        record = served.manifest.golden
        if record is None or served.examples is None:
            logger.info("checkpoint %s has no golden record", served.version)
            return
        x = served.examples.x[: len(record.elbo)]
        scores = engine.score(
            engine.in_model_units(x), golden.noise(record, served.config.latent_dim)
        )
        terms = elbo_of(
            scores, adds_up=engine.kl_adds_up, log_jacobian=engine.log_jacobian
        )
        try:
            golden.check(record, terms.elbo, rounding=rounding(served.vae, x))
        except ValueError as error:
            path = self._settings.checkpoint_directory / MANIFEST
            raise CheckpointError(
                f"{path}: golden: {error} from {engine.backend} on {engine.device}"
            ) from error

    def _bind(self, engine: Engine) -> LoadedModel:
        """Bind the calls to a model."""
        model = self._served_model(engine)
        return LoadedModel(
            model=model,
            endpoints={
                (method, call.path): endpoint
                for call in self._calls
                for endpoint in [call.bind(model, self._calls)]
                for method in call.methods
            },
            headers=((b"x-model-version", model.checkpoint.version.encode()),),
            responses=self._responses,
        )

    def _served_model(self, engine: Engine) -> ServedModel:
        """Return a model with its reader, its compute and its limits."""
        settings, config = self._settings, engine.config
        capacity = Capacity(settings.max_queue_rows, settings.max_queue_bytes)
        compute = Operations(engine, self._metrics.observe_batch, capacity)
        compute.rehearse()
        reader = Reader(engine.checkpoint, settings)
        return ServedModel(
            config=config,
            engine=engine,
            reader=reader,
            compute=compute,
            analysis_threads=AnalysisThreads(max_requests=settings.max_analyses),
            analyst=Analyst(engine),
            settings=settings,
            lifecycle=self._lifecycle,
            metrics=self._metrics,
            facts=Facts(
                data_shape=config.data_shape,
                latent_dim=config.latent_dim,
                likelihood=config.likelihood.kind,
                prior=config.prior.kind,
                has_images=reader.images is not None,
                columns=config.data.columns or (),
                table=config.table,
                has_gaps=bool(config.missing),
                x_range=reader.x_range,
                limits=settings,
            ),
        )
