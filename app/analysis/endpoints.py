"""How likely x is, over HTTP: which analysis is asked for, and with how many draws."""

from typing import final

from app.analysis.requests import AnalysisRequests
from app.analysis.schemas import (
    DEFAULT_BUDGET,
    DEFAULT_TARGET,
    GapOptions,
    LoglikOptions,
    PosteriorOptions,
    RefineOptions,
)
from app.errors import Fault, UnprocessableError, number
from app.http.exchange import Request, Response
from model.engine.analyses import Analyst
from model.inference import analyses
from model.inference.analyses import MAX_LATENT_DIM, N_GRID
from model.inference.bounds import N_BLOCKS
from model.inference.effort import MIN_BUDGET, Effort


@final
class AnalysisEndpoints:
    """`loglik`, `gap`, `refine`, `posterior`, each an answer to a request."""

    def __init__(self, requests: AnalysisRequests, analyst: Analyst) -> None:
        self._requests = requests
        self._analyst = analyst
        self._config = requests.served.config
        self._settings = requests.settings

    async def loglik(self, request: Request) -> Response:
        """
        Answer how likely each row is under the model: log p(x), in nats.

        The ELBO is only a lower bound on log p(x), and how far below it lies nobody
        can see from it. Here the model draws many z for each row and weighs them by
        importance (Burda et al. 2016), which brings the bound close to log p(x) and
        says how sure it is: a standard error, and `is_reliable`, which is false where
        a few draws carry all the weight, so that more are needed or the number cannot
        be trusted. Use it to compare models, or to find unusual data: rows with a low
        log p(x) are the ones the model did not expect. With `n_samples` the draws come
        from the encoder's q(z|x), as in the literature; else from a mixture of it with
        wider copies and the prior, which finds what q overlooks. `upper` adds an
        estimate from the other side, a bound where its Markov chains have converged
        (`r_hat` up to 1.01), so that log p(x) lies between two numbers.
        """
        asked = await self._requests.read(request, LoglikOptions)
        effort, options = self._effort(asked.options), asked.options
        config = self._config
        extra = analyses.draws_above(config) if options.upper else 0
        compute = self._analyst.bracketed if options.upper else self._analyst.evidence
        return await self._requests.answer(
            asked,
            lambda x, rows: compute(
                x, rows, effort, seed=asked.seed, first=options.first
            ),
            draws=effort.budget + extra,
        )

    async def gap(self, request: Request) -> Response:
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
        asked = await self._requests.read(request, GapOptions)
        options = asked.options
        budget = self._budget(options.budget)
        return await self._requests.answer(
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

    async def refine(self, request: Request) -> Response:
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
        asked = await self._requests.read(request, RefineOptions)
        return await self._requests.answer(
            asked,
            lambda x, rows: self._analyst.refined(
                x, rows, seed=asked.seed, first=asked.options.first
            ),
            draws=analyses.draws_refining(self._config),
        )

    async def posterior(self, request: Request) -> Response:
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
        asked = await self._requests.read(request, PosteriorOptions)
        j = self._config.latent_dim
        if j > MAX_LATENT_DIM:
            what = f"expected a model of 1 or 2 latent dimensions, this one has {j}"
            raise UnprocessableError(Fault("", what))
        self._requests.check_output(len(asked.x.values), 2 * N_GRID[j] ** j)
        return await self._requests.answer(
            asked,
            self._analyst.posteriors,
            draws=analyses.draws_integrating(self._config),
        )

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
            what = f"expected {MIN_BUDGET} to {most}, got {number(asked)}"
            raise UnprocessableError(Fault("/budget", what))
        return min(DEFAULT_BUDGET, most) if asked is None else asked
