"""The served model, with everything that a call needs."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import final

from app.call_parts.shapes import Facts
from app.compute.analysis_threads import AnalysisThreads
from app.compute.operations import Operations
from app.errors import ContentTooLargeError
from app.http.reader import Reader
from app.http.request import Request
from app.lifecycle import Lifecycle
from app.observability.metrics import Metrics
from app.settings import Settings
from app.wire.reply import FLOAT32_BYTES, FLOAT64_BYTES, TableColumns
from model.checkpoint import Checkpoint
from model.config import Config
from model.engine import AnyArray, Engine
from model.engine.analyses import Analyst
from model.noise import BLOCK_ROWS, normals_skipped


@final
@dataclass(frozen=True, eq=False)
class ServedModel:
    """
    One checkpoint in memory, with the reader, the compute and the limits of requests.

    Attributes:
        config: The model's configuration.
        compute: The batched operations on rows.
        analysis_threads: Runs analyses, in turns.
        analyst: Computes the analyses.
        facts: The facts that the schemas of requests and responses depend on.
    """

    config: Config
    engine: Engine
    reader: Reader
    compute: Operations
    analysis_threads: AnalysisThreads
    analyst: Analyst
    settings: Settings
    lifecycle: Lifecycle
    metrics: Metrics
    facts: Facts

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint."""
        return self.engine.checkpoint

    def named(
        self, *data: str, numbers: Collection[str] = ()
    ) -> dict[str, TableColumns]:
        """
        Return the columns of the model for tensors; nothing if they have no names.

        Args:
            data: Tensors of data.
            numbers: Tensors with a number for each column.
        """
        names = self.config.data.columns
        if names is None:
            return {}
        cells = TableColumns(names, self.config.table)
        return dict.fromkeys(data, cells) | dict.fromkeys(numbers, TableColumns(names))

    @property
    def has_wide_data(self) -> bool:
        """Whether rows of data are float64: in their own units, or codes of cells."""
        return self.config.has_units or self.config.table is not None

    def in_data_shape(self, values: AnyArray) -> AnyArray:
        """Return rows, (N, D), as (N, *data_shape)."""
        return values.reshape(-1, *self.config.data_shape)

    def reserve_output(
        self, request: Request, n_rows: int, values_per_row: int | None = None
    ) -> None:
        """
        Check the number of rows in a response, and reserve memory for it.

        Args:
            values_per_row: D by default.

        Raises:
            ContentTooLargeError: There are too many rows.
            OverloadedError: The budget for all responses is full.
        """
        per_row = self.config.data_dim if values_per_row is None else values_per_row
        self.check_output(n_rows, per_row)
        n_bytes = FLOAT64_BYTES if self.has_wide_data else FLOAT32_BYTES
        request.reserve_response(n_rows * per_row * n_bytes)

    def check_first(self, first: int, noise_per_row: int) -> None:
        """
        Check how much noise must be drawn and skipped to start at row `first`.

        Raises:
            ContentTooLargeError: It is too much.
        """
        skipped, limit = normals_skipped(first), self.settings.max_work
        if skipped * noise_per_row > limit:
            raise ContentTooLargeError(
                f"expected first to be at most {limit // noise_per_row} rows after a "
                f"multiple of {BLOCK_ROWS}, where the noise restarts; {first} is "
                f"{skipped} rows after one"
            )

    def check_output(self, n_rows: int, values_per_row: int) -> None:
        """
        Check the number of values in a response.

        Raises:
            ContentTooLargeError: There are too many values.
        """
        n_values, limit = n_rows * values_per_row, self.settings.max_output_values
        if n_values > limit:
            raise ContentTooLargeError(
                f"this response needs {n_values} values ({n_rows} rows of "
                f"{values_per_row}); the limit is {limit} (VAE_MAX_OUTPUT_VALUES)"
            )
