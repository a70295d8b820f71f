"""What is missing in x, over HTTP."""

from typing import final

from app.analysis.imputation_schemas import DEFAULT_DRAWS, ImputeOptions
from app.analysis.requests import AnalysisRequests
from app.errors import Fault, UnprocessableError, number
from app.http.exchange import Request, Response
from model.engine.analyses import Analyst
from model.inference import analyses


@final
class ImputationEndpoints:
    """`impute`, an answer to a request."""

    def __init__(self, requests: AnalysisRequests, analyst: Analyst) -> None:
        self._requests = requests
        self._analyst = analyst

    async def impute(self, request: Request) -> Response:
        """
        Answer what is missing in each row, given what is known of it.

        Some values of x were not measured, or are to be replaced. `mask` says which
        are known: 1 known, 0 missing; it has the shape of x. The model looks for the z
        that may have made the known values, and for what those z say of the missing
        ones. `mean` is the best single guess, `variance` how far off it may be, and
        `samples` are whole rows that could be true, each consistent in itself, while a
        mean of several possibilities may look like none of them. All of it rests on
        `n_draws` draws of z weighed by importance (Mattei & Frellsen 2018); where
        `effective_sample_size` is small, few of them count, and more should be drawn.
        A value that the mask calls missing is never read: it may be any number, in
        safetensors NaN too.
        """
        asked, observed = await self._requests.read_masked(request, ImputeOptions)
        options, most = asked.options, self._requests.settings.max_draws
        n_draws = min(DEFAULT_DRAWS, most)
        n_draws = n_draws if options.n_draws is None else options.n_draws
        for name, n in (("n_draws", n_draws), ("n_samples", options.n_samples)):
            if n > most:
                what = f"expected 1 to {most}, got {number(n)}"
                raise UnprocessableError(Fault(f"/{name}", what))
        config, n_samples = self._requests.served.config, options.n_samples
        per_row = (2 + n_samples) * config.data_dim
        self._requests.check_output(len(asked.x.values), per_row)
        return await self._requests.answer(
            asked,
            lambda x, rows: self._analyst.imputed(
                x,
                observed,
                rows,
                n_draws=n_draws,
                n_samples=n_samples,
                seed=asked.seed,
                first=options.first,
            ),
            draws=analyses.draws_imputing(config, n_draws=n_draws, n_samples=n_samples),
            scalars={"n_draws": n_draws},
            shaped=("mean", "variance", "samples"),
        )
