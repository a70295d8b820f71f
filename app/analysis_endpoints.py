"""The analyses over HTTP: read a request, check its size, compute, write the answer."""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar, final

from app.analyses import Analyses
from app.analysis_schemas import (
    DEFAULT_BUDGET,
    DEFAULT_TARGET,
    AnalysisOptions,
    GapOptions,
    LoglikOptions,
    PosteriorOptions,
    RefineOptions,
)
from app.answers import answer
from app.endpoints import ALL_ARRAYS
from app.engine.analyses import Analyst, NotFiniteError
from app.errors import ContentTooLargeError, Fault, UnprocessableError, number
from app.exchange import Answer, Request
from app.lifecycle import Lifecycle
from app.operations import Operations, OutsideSupportError
from app.reading import Reader, seed_of
from app.settings import Settings
from app.wire.layout import Array, Rows
from app.wire.negotiation import Format, response_format
from app.wire.reply import Reply
from model import analyses
from model.analyses import MAX_LATENT_DIM, N_GRID, Effort
from model.bounds import N_BLOCKS
from model.columns import Columns

_NULLABLE = frozenset({"pareto_k", "r_hat"})

_Options = TypeVar("_Options", bound=AnalysisOptions)


@final
class _Asked(NamedTuple, Generic[_Options]):
    """A request as it was read, nothing of it computed yet."""

    x: Rows
    options: _Options
    seed: int
    format: Format


@final
class AnalysisEndpoints:
    """`loglik`, `gap`, `refine`, `posterior`, each an answer to a request."""

    def __init__(
        self,
        reader: Reader,
        operations: Operations,
        runner: Analyses,
        settings: Settings,
        lifecycle: Lifecycle,
    ) -> None:
        self._config = operations.engine.checkpoint.config
        self._reader = reader
        self._operations = operations
        self._runner = runner
        self._settings = settings
        self._lifecycle = lifecycle
        self._analyst = Analyst(operations.engine)
        most = min(settings.max_rows, settings.max_analysis_rows)
        self._x = reader.data(max_rows=most)

    async def loglik(self, request: Request) -> Answer:
        """
        Answer how likely each row is under the model: log p(x), in nats.

        The ELBO is only a lower bound on log p(x), and how far below it lies nobody
        can see from it. Here the model draws many z for each row and weighs them by
        importance (Burda et al. 2016), which brings the bound close to log p(x) and
        says how sure it is: a standard error, and `is_reliable`, which is false where
        a few draws carry all the weight, so that more are needed or the number cannot
        be trusted. Use it to compare models, or to find unusual data: rows with a low
        log p(x) are the ones the model did not expect. `upper` adds an estimate from
        the other side, a bound where its Markov chains have converged (`r_hat` up to
        1.01), so that log p(x) lies between two numbers.
        """
        asked = await self._read(request, LoglikOptions)
        effort, options = self._effort(asked.options), asked.options
        config = self._config
        extra = analyses.draws_above(config) if options.upper else 0
        compute = self._analyst.bracketed if options.upper else self._analyst.evidence
        return await self._answer(
            asked,
            lambda x, rows: compute(
                x, rows, effort, seed=asked.seed, first=options.first
            ),
            draws=effort.budget + extra,
        )

    async def gap(self, request: Request) -> Answer:
        """
        Answer what the encoder costs: log p(x) - ELBO of each row, in its two parts.

        A VAE approximates the posterior p(z|x) twice over. It takes a Gaussian with
        independent dimensions, which may not fit: the approximation gap. And it asks
        one network for the mean and variance of every x instead of searching for the
        best ones: the amortisation gap (Cremer et al. 2018). A large amortisation gap
        calls for a better encoder or longer training; a large approximation gap for
        another family of q. All are in nats, each with its standard error; they rest
        on log p(x), which can be trusted where `is_reliable` is true.
        """
        asked = await self._read(request, GapOptions)
        options = asked.options
        budget = self._budget(options.budget)
        return await self._answer(
            asked,
            lambda x, rows: self._analyst.gaps(
                x,
                rows,
                target=options.target,
                budget=budget,
                seed=asked.seed,
                first=options.first,
            ),
            draws=budget + analyses.draws_refining(self._config),
        )

    async def refine(self, request: Request) -> Answer:
        """
        Answer the best q(z|x) for each row: mu and log_var, optimised for it alone.

        `/encode` answers at once what the encoder has learnt to answer for data like
        its training data. Here that answer is only the start: mu and log_var are
        improved for each row until its ELBO rises no further, as in variational
        inference without an encoder. Use it where a better code is worth a second of
        waiting, or for data that the encoder has not seen the like of. The answer says
        what was gained, in nats, with standard errors from draws that the search has
        not seen.
        """
        asked = await self._read(request, RefineOptions)
        return await self._answer(
            asked,
            lambda x, rows: self._analyst.refined(
                x, rows, seed=asked.seed, first=asked.options.first
            ),
            draws=analyses.draws_refining(self._config),
        )

    async def posterior(self, request: Request) -> Answer:
        """
        Answer the true posterior p(z|x) of each row; for at most two latent dimensions.

        Which z may have made this x? The encoder's q(z|x) is an approximation of the
        answer; in one or two dimensions the answer itself can be computed, by
        integrating over a grid. What comes back can be drawn side by side: the values
        of z on each axis, and the logarithms of p(z|x) and of q(z|x) there. With it
        come log p(x), the mean and covariance of p(z|x), and the exact distance of q
        from it, KL(q(z|x) || p(z|x)) in nats. Nothing in it is random; the errors are
        those of the grid. Models with more latent dimensions are refused (422).
        """
        asked = await self._read(request, PosteriorOptions)
        j = self._config.latent_dim
        if j > MAX_LATENT_DIM:
            what = f"expected a model of 1 or 2 latent dimensions, this one has {j}"
            raise UnprocessableError(Fault("", what))
        limit = self._settings.max_output_values
        n_rows, per_row = len(asked.x.values), 2 * N_GRID[j] ** j
        if n_rows * per_row > limit:
            raise ContentTooLargeError(
                f"expected to answer at most {limit} values, "
                f"got {n_rows} rows with {per_row} on their grids"
            )
        return await self._answer(
            asked,
            self._analyst.posteriors,
            draws=analyses.draws_integrating(self._config),
        )

    async def _read(self, request: Request, schema: type[_Options]) -> _Asked[_Options]:
        """Read a request and check what does not depend on the analysis."""
        self._lifecycle.check_serving()
        format_ = response_format(request.accept, ALL_ARRAYS)
        x, options = await self._reader.read(request, self._x, schema)
        self._reader.check_binarize(options.binarize)
        if options.binarize == "sample" and getattr(options, "first", 0) > 0:
            what = "expected 0 where rows are drawn from the seed in order to binarise"
            raise UnprocessableError(Fault("/first", what))
        return _Asked(x, options, seed_of(options.seed), format_)

    async def _answer(
        self,
        asked: _Asked[Any],
        compute: Callable[[Array, slice], Columns],
        *,
        draws: int,
    ) -> Answer:
        """Check that the work is allowed, do it, and answer its columns."""
        n_rows = len(asked.x.values)
        per_row = analyses.values_decoded(self._config, draws)
        if n_rows * per_row > (limit := self._settings.max_analysis_work):
            raise ContentTooLargeError(
                f"expected to compute at most {limit} values, got {n_rows} rows of up "
                f"to {draws} draws, which are {n_rows * per_row}"
            )
        try:
            x = await self._operations.supported(
                asked.x.values, seed=asked.seed, binarize=asked.options.binarize
            )
            columns = await self._runner.run(
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
        scalars = {
            "seed": asked.seed,
            "binarize": asked.options.binarize,
            "units": "nats",
        }
        reply = Reply(columns._asdict(), scalars, _NULLABLE)
        return await answer(reply, asked.format, source="x")

    def _effort(self, options: LoglikOptions) -> Effort:
        """Return how many draws are asked for, if they are allowed."""
        if options.n_samples is None:
            target = DEFAULT_TARGET if options.target is None else options.target
            return Effort.adaptive(target=target, budget=self._budget(options.budget))
        if options.target is not None or options.budget is not None:
            what = "expected n_samples alone, or target and budget, got both"
            raise UnprocessableError(Fault("/n_samples", what))
        most = self._settings.max_draws // N_BLOCKS
        if options.n_samples > most:
            what = f"expected 1 to {most}, got {number(options.n_samples)}"
            raise UnprocessableError(Fault("/n_samples", what))
        return Effort.fixed(options.n_samples)

    def _budget(self, asked: int | None) -> int:
        """Return the most draws per row, if they are allowed."""
        most = self._settings.max_draws
        if asked is not None and asked > most:
            what = f"expected {analyses.MIN_BUDGET} to {most}, got {number(asked)}"
            raise UnprocessableError(Fault("/budget", what))
        return min(DEFAULT_BUDGET, most) if asked is None else asked
