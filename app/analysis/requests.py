"""What all analyses over HTTP do: read a request, check its size, write its answer."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar, final

from app.analysis.schemas import AnalysisOptions
from app.compute.analysis_thread import Analyses
from app.compute.operations import Operations, OutsideSupportError
from app.endpoints import ALL_ARRAYS
from app.errors import ContentTooLargeError, Fault, UnprocessableError
from app.http.exchange import Request, Response
from app.http.reader import Reader, seed_of
from app.http.writer import answer
from app.serving.lifecycle import Lifecycle
from app.settings import Settings
from app.wire.layout import Array, Mask, Rows
from app.wire.negotiation import Format, response_format
from app.wire.reply import Reply
from model.engine.analyses import NotFiniteError
from model.inference import analyses
from model.inference.columns import Columns, named

_NULLABLE = frozenset({"pareto_k", "r_hat"})

Options = TypeVar("Options", bound=AnalysisOptions)


@final
class Asked(NamedTuple, Generic[Options]):
    """A request as it was read, nothing of it computed yet."""

    x: Rows
    options: Options
    seed: int
    format: Format


@final
class AnalysisRequests:
    """Reads requests for analyses of one model, has them computed, and answers."""

    def __init__(
        self,
        reader: Reader,
        operations: Operations,
        runner: Analyses,
        settings: Settings,
        lifecycle: Lifecycle,
    ) -> None:
        self.served = operations.engine.checkpoint
        self.settings = settings
        self._reader = reader
        self._operations = operations
        self._runner = runner
        self._lifecycle = lifecycle
        most = min(settings.max_rows, settings.max_analysis_rows)
        self._x = reader.data(max_rows=most)
        self._masked = reader.masked(max_rows=most)

    async def read(self, request: Request, schema: type[Options]) -> Asked[Options]:
        """Read a request and check what does not depend on the analysis."""
        self._lifecycle.check_serving()
        self._runner.check_room()
        format_ = response_format(request.accept, ALL_ARRAYS)
        x, options = await self._reader.read(request, self._x, schema)
        self._check(options)
        return Asked(x, options, seed_of(options.seed), format_)

    async def read_masked(
        self, request: Request, schema: type[Options]
    ) -> tuple[Asked[Options], Mask]:
        """Read a request that says of each value of x whether it is known."""
        self._lifecycle.check_serving()
        self._runner.check_room()
        format_ = response_format(request.accept, ALL_ARRAYS)
        (x, observed), options = await self._reader.read_masked(
            request, self._masked, schema
        )
        self._check(options)
        return Asked(x, options, seed_of(options.seed), format_), observed

    def check_output(self, n_rows: int, per_row: int) -> None:
        """
        Check how many values would be answered.

        Raises:
            ContentTooLargeError: There are too many.
        """
        limit = self.settings.max_output_values
        if n_rows * per_row > limit:
            raise ContentTooLargeError(
                f"expected to answer at most {limit} values, "
                f"got {n_rows} rows with {per_row} each"
            )

    async def answer(
        self,
        asked: Asked[Any],
        compute: Callable[[Array, slice], Columns],
        *,
        draws: int,
        scalars: Mapping[str, int | str | None] | None = None,
        shaped: tuple[str, ...] = (),
    ) -> Response:
        """
        Check that the work is allowed, do it, and answer its columns.

        Args:
            draws: The most draws of z that a row takes.
            scalars: What the answer says beside seed, binarize and units.
            shaped: Columns that have the shape of data.
        """
        columns = await self._computed(asked, compute, draws)
        shape = self.served.config.data_shape
        tensors = {
            name: values.reshape(*values.shape[:-1], *shape)
            if name in shaped
            else values
            for name, values in named(columns).items()
        }
        ending = {
            **(scalars or {}),
            "seed": asked.seed,
            "binarize": asked.options.binarize,
            "units": "nats",
        }
        reply = Reply(tensors, ending, _NULLABLE)
        return await answer(reply, asked.format, source="x")

    async def _computed(
        self,
        asked: Asked[Any],
        compute: Callable[[Array, slice], Columns],
        draws: int,
    ) -> Columns:
        n_rows = len(asked.x.values)
        per_row = analyses.values_decoded(self.served.config, draws)
        if n_rows * per_row > (limit := self.settings.max_analysis_work):
            raise ContentTooLargeError(
                f"expected to compute at most {limit} values, got {n_rows} rows of up "
                f"to {draws} draws, which are {n_rows * per_row}"
            )
        try:
            x = await self._operations.supported(
                asked.x.values, seed=asked.seed, binarize=asked.options.binarize
            )
            return await self._runner.run(
                lambda rows: compute(x, rows),
                analyses.slices(n_rows, values_per_row=per_row),
            )
        except OutsideSupportError as error:
            raise self._reader.outside(error, asked.x) from error
        except NotFiniteError as error:
            what = (
                f"the model's densities of row {error.row} are not finite; too large?"
            )
            raise UnprocessableError(Fault(f"/x/{error.row}", what)) from error

    def _check(self, options: AnalysisOptions) -> None:
        self._reader.check_binarize(options.binarize)
        if options.binarize == "sample" and getattr(options, "first", 0) > 0:
            what = "expected 0 where rows are drawn from the seed in order to binarise"
            raise UnprocessableError(Fault("/first", what))
