"""
Loads checkpoints: read, verified, proved, and bound to what answers requests with them.

The framework's routes are made once, with the first loaded model. They are the same for
every checkpoint and find theirs in the scope of a request: FastAPI keeps the functions
of routes in caches of its own, and would keep alive every model that one of them holds.
"""

import logging
from collections.abc import Set
from typing import final

from fastapi import FastAPI
from starlette.routing import BaseRoute

from app import operation_routes, routes
from app.analysis import routes as analysis_routes
from app.analysis.anomaly_endpoints import AnomalyEndpoints
from app.analysis.endpoints import AnalysisEndpoints
from app.analysis.imputation_endpoints import ImputationEndpoints
from app.analysis.requests import AnalysisRequests
from app.api_docs import openapi, pages
from app.api_docs.examples import Examples
from app.card import MediaTypes, card
from app.compute.analysis_thread import Analyses
from app.compute.batcher import Capacity
from app.compute.operations import Operations, elbo_of
from app.endpoints import Endpoints
from app.explorer import explorer
from app.held_out import held_out
from app.http.reader import Reader
from app.http.response_budget import Responses
from app.observability.metrics import Metrics
from app.operation_routes import Operation
from app.paths import routes as path_routes
from app.paths.endpoints import PathEndpoints
from app.serving.documents import Document
from app.serving.lifecycle import Lifecycle
from app.serving.loaded_model import LoadedModel
from app.settings import Settings
from model.checkpoint import MANIFEST, CheckpointError, golden
from model.engine import Engine
from model.engine.analyses import Analyst

logger = logging.getLogger(__name__)


@final
class Loader:
    """
    Loads the models of one service.

    Args:
        app: Where the routes are put.
        public: The paths that may be read without a key.
    """

    def __init__(
        self,
        app: FastAPI,
        settings: Settings,
        lifecycle: Lifecycle,
        metrics: Metrics,
        *,
        public: Set[str],
    ) -> None:
        self._app = app
        self._settings = settings
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._public = public
        self._responses = Responses(max_bytes=settings.max_responses_bytes)

    def load(self) -> LoadedModel:
        """
        Load the checkpoint that lies there now; in any thread.

        Raises:
            CheckpointError: It is missing or damaged, or scores its examples otherwise
                than training did.
            EngineError: The device or the backend is not there.
        """
        engine = Engine.load(
            self._settings.checkpoint,
            device=self._settings.device,
            backend=self._settings.backend,
            n_threads=self._settings.threads,
        )
        self._check_golden(engine)
        return self._bind(engine)

    def _check_golden(self, engine: Engine) -> None:
        """Check the backend that will serve on the examples of the checkpoint."""
        served = engine.checkpoint
        record = served.manifest.golden
        if record is None or served.examples is None:
            logger.info("checkpoint %s has no golden record", served.sha256[:12])
            return
        x = served.examples.x[: len(record.elbo)]
        scores = engine.score(x, golden.noise(record, served.config.latent_dim))
        try:
            golden.check(record, elbo_of(scores, adds_up=engine.kl_adds_up).elbo)
        except ValueError as error:
            path = self._settings.checkpoint / MANIFEST
            raise CheckpointError(
                f"{path}: golden: {error} from {engine.backend} on {engine.device}"
            ) from error

    def _bind(self, engine: Engine) -> LoadedModel:
        """Bind a model to all that answers with it."""
        settings, served = self._settings, engine.checkpoint
        capacity = Capacity(settings.max_queue_rows, settings.max_queue_bytes)
        compute = Operations(engine, self._metrics.observe_batch, capacity)
        compute.rehearse()
        runner = Analyses(max_in_hand=settings.max_analyses)
        reader = Reader(served, settings)
        calls = self._calls(reader, compute, runner)
        if not self._app.routes:
            self._app.router.routes.extend(self._routes(calls))
        told = card(engine, settings, {call.id: _media_types(call) for call in calls})
        document = openapi.document(
            self._app, calls, told, Examples(engine, reader.images)
        )
        return LoadedModel(
            card=told,
            headers=((b"x-model-version", told.version.encode()),),
            hot=operation_routes.hot(calls),
            model=Document(told.model_dump_json().encode()),
            examples=Document(held_out(served)),
            openapi=openapi.guarded(document, settings, public=self._public),
            compute=compute,
            runner=runner,
            responses=self._responses,
        )

    def _calls(
        self, reader: Reader, compute: Operations, runner: Analyses
    ) -> tuple[Operation, ...]:
        """Return every call of the contract but those about the service."""
        settings, lifecycle = self._settings, self._lifecycle
        requests = AnalysisRequests(reader, compute, runner, settings, lifecycle)
        endpoints = Endpoints(reader, compute, settings, lifecycle)
        paths = PathEndpoints(reader, compute, settings, lifecycle)
        analyst = Analyst(compute.engine)
        return (
            *operation_routes.operations(endpoints),
            *path_routes.operations(paths),
            *analysis_routes.operations(
                AnalysisEndpoints(requests, analyst),
                AnomalyEndpoints(requests, analyst),
                ImputationEndpoints(requests, analyst),
            ),
        )

    def _routes(self, calls: tuple[Operation, ...]) -> list[BaseRoute]:
        return [
            *operation_routes.routes(calls),
            *routes.about().routes,
            *self._index(),
            *routes.health(self._lifecycle, self._metrics).routes,
            *pages.docs().routes,
        ]

    def _index(self) -> list[BaseRoute]:
        """Return the routes of `/`: the explorer with its rows, or the page of docs."""
        if not self._settings.explorer:
            return routes.documentation().routes
        return [*routes.examples().routes, *explorer().routes]


def _media_types(call: Operation) -> MediaTypes:
    return MediaTypes(
        request=[format_.name for format_ in call.readable],
        response=[format_.name for format_ in call.writable],
    )
