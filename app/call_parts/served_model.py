"""The served model with all that a call needs to answer with it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

from app.call_parts.shapes import Facts
from app.compute.analysis_thread import AnalysisThread
from app.compute.operations import Operations
from app.errors import ContentTooLargeError
from app.http.exchange import Request
from app.http.reader import Reader
from app.lifecycle import Lifecycle
from app.observability.metrics import Metrics
from app.settings import Settings
from app.wire.layout import Array
from app.wire.reply import FLOAT32_BYTES
from model.checkpoint import Checkpoint
from model.config import Config
from model.engine import Engine
from model.engine.analyses import Analyst
from model.noise import BLOCK_ROWS, normals_skipped

# Where a call is computed, and so where there must be room for it.
Room = Literal["batches", "analyses"]


@final
@dataclass(frozen=True, eq=False)
class ServedModel:
    """
    One checkpoint in memory, and what reads, computes and limits requests to it.

    Attributes:
        compute: The batched operations on rows.
        analysis_thread: Where analyses run, one slice of rows after the other.
        analyst: What computes them.
        facts: What the form of requests and responses depends on.
    """

    engine: Engine
    reader: Reader
    compute: Operations
    analysis_thread: AnalysisThread
    analyst: Analyst
    settings: Settings
    lifecycle: Lifecycle
    metrics: Metrics
    facts: Facts

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint."""
        return self.engine.checkpoint

    @property
    def config(self) -> Config:
        """The model's configuration."""
        return self.engine.checkpoint.config

    def gate(self, room: Room) -> Callable[[], None]:
        """
        Return what checks that a request is taken, before anything of it is read.

        It raises `UnavailableError` while the service drains or compute has stalled,
        and `OverloadedError` where there is no room.
        """
        check_serving = self.lifecycle.check_serving
        check_room = {
            "batches": self.compute.check_room,
            "analyses": self.analysis_thread.check_room,
        }[room]

        def check() -> None:
            check_serving()
            check_room()

        return check

    def in_data_shape(self, values: Array) -> Array:
        """Return rows, (N, D), as (N, *data_shape)."""
        return values.reshape(-1, *self.config.data_shape)

    def reserve_output(self, request: Request, n_rows: int) -> None:
        """
        Check that so many rows of data may be answered, and count their bytes.

        Raises:
            ContentTooLargeError: There are too many.
            OverloadedError: Too many bytes of responses have not been taken yet.
        """
        self.check_output(n_rows)
        request.hold(n_rows * self.config.data_dim * FLOAT32_BYTES)

    def check_first(self, first: int, noise_per_row: int) -> None:
        """
        Check how much noise is drawn in vain to start at the row `first`.

        Raises:
            ContentTooLargeError: It is too much.
        """
        skipped, limit = normals_skipped(first), self.settings.max_work
        if skipped * noise_per_row > limit:
            raise ContentTooLargeError(
                f"expected first of at most {limit // noise_per_row} rows beyond a "
                f"multiple of {BLOCK_ROWS}, where noise starts anew, got {first}, "
                f"which is {skipped} beyond"
            )

    def check_output(self, n_rows: int, values_per_row: int | None = None) -> None:
        """
        Check how many values a response would have.

        Args:
            values_per_row: D if left out.

        Raises:
            ContentTooLargeError: There are too many.
        """
        limit = self.settings.max_output_values
        per_row = self.config.data_dim if values_per_row is None else values_per_row
        if n_rows * per_row > limit:
            raise ContentTooLargeError(
                f"expected to answer at most {limit} values, got {n_rows} rows of "
                f"{per_row}, which are {n_rows * per_row}"
            )
