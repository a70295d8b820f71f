"""The analyses of the asynchronous client."""

from collections.abc import Mapping
from operator import index
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from vae_client import arguments, plans
from vae_client.analysis_results import (
    AnalysisResult,
    AnomalyResult,
    GapResult,
    ImputeResult,
    LoglikResult,
    PosteriorResult,
    RefineResult,
)
from vae_client.arguments import OptionValue
from vae_client.asynchronous.session import AsyncSession
from vae_client.results import BinarizeChoice, UnknownChoice
from vae_client.same_model import PreparedRows, common_version

A = TypeVar("A", bound=AnalysisResult)


class AsyncAnalysisMethods(AsyncSession):
    """
    The methods of the analyses; abstract.

    x is (N, D) or (N, *data_shape), in the likelihood's support or with `binarize`. N
    may be any number: more rows than the service accepts are sent in several requests
    and have, bit for bit, the results that one request would give; where that is not
    possible, `LimitError` says why. `unknown` is explained at `AsyncClient`.

    Data that is passed in several calls gets the results of one call if every call has
    the same `seed`, and as `first` the number of rows before it. The results are the
    same to the bit if all but the last call have a multiple of 16 rows.
    """

    async def loglik(
        self,
        x: ArrayLike,
        *,
        n_samples: int | None = None,
        target: float | None = None,
        budget: int | None = None,
        upper: bool = False,
        seed: int | None = None,
        binarize: BinarizeChoice | None = None,
        unknown: UnknownChoice | None = None,
        first: int = 0,
    ) -> LoglikResult:
        """
        Return an estimate of log p(x) of each row, with its standard error.

        z is drawn until the standard error is at most `target` nats (0.02), at most
        `budget` times (8192). With `n_samples`, K, it is the bound with K draws from
        the encoder's q(z|x) instead (Burda et al. 2016). With `upper`, the result has
        an upper bound too, which takes much longer.
        """
        options: dict[str, OptionValue] = {
            "n_samples": n_samples,
            "target": target,
            "budget": budget,
            "upper": upper,
            "seed": arguments.seed_or_random(seed),
            "binarize": binarize,
            "unknown": unknown,
        }
        return await self._analyze("/loglik", LoglikResult, x, unknown, options, first)

    async def gap(
        self,
        x: ArrayLike,
        *,
        target: float | None = None,
        budget: int | None = None,
        seed: int | None = None,
        binarize: BinarizeChoice | None = None,
        unknown: UnknownChoice | None = None,
        first: int = 0,
    ) -> GapResult:
        """Return log p(x) - ELBO and its two parts; options as in `loglik`."""
        options: dict[str, OptionValue] = {
            "target": target,
            "budget": budget,
            "seed": arguments.seed_or_random(seed),
            "binarize": binarize,
            "unknown": unknown,
        }
        return await self._analyze("/gap", GapResult, x, unknown, options, first)

    async def refine(
        self,
        x: ArrayLike,
        *,
        seed: int | None = None,
        binarize: BinarizeChoice | None = None,
        unknown: UnknownChoice | None = None,
        first: int = 0,
    ) -> RefineResult:
        """Return the best q(z|x) for each row separately, and what it gains."""
        options: dict[str, OptionValue] = {
            "seed": arguments.seed_or_random(seed),
            "binarize": binarize,
            "unknown": unknown,
        }
        return await self._analyze("/refine", RefineResult, x, unknown, options, first)

    async def posterior(
        self,
        x: ArrayLike,
        *,
        seed: int | None = None,
        binarize: BinarizeChoice | None = None,
        unknown: UnknownChoice | None = None,
        first: int = 0,
    ) -> PosteriorResult:
        """
        Return p(z|x) itself, on a grid, for models with one or two latent dimensions.

        Nothing in it is random; the seed is used only to binarize.
        """
        options: dict[str, OptionValue] = {
            "seed": arguments.seed_or_random(seed),
            "binarize": binarize,
            "unknown": unknown,
        }
        rows = await self._x(x, unknown)
        model = await self._model()
        plan = plans.analysis(
            model,
            "/posterior",
            PosteriorResult,
            {"x": rows.values},
            options,
            first=index(first),
            multiple=1,
        )
        return await self._call(plan, rows.version)

    async def anomaly(
        self,
        x: ArrayLike,
        *,
        seed: int | None = None,
        binarize: BinarizeChoice | None = None,
        unknown: UnknownChoice | None = None,
        first: int = 0,
    ) -> AnomalyResult:
        """
        Return the rank of each row among rows that were held out of training.

        Raises:
            RequestError: Also if the checkpoint has no scores of such rows.
        """
        options: dict[str, OptionValue] = {
            "seed": arguments.seed_or_random(seed),
            "binarize": binarize,
            "unknown": unknown,
        }
        return await self._analyze(
            "/anomaly", AnomalyResult, x, unknown, options, first
        )

    async def impute(
        self,
        x: ArrayLike,
        mask: ArrayLike | None = None,
        *,
        n_samples: int = 1,
        n_draws: int | None = None,
        level: float | None = None,
        seed: int | None = None,
        binarize: BinarizeChoice | None = None,
        unknown: UnknownChoice | None = None,
        first: int = 0,
    ) -> ImputeResult:
        """
        Return the values of x that are missing, where `mask` is false or 0.

        The mask has the shape of x. Missing values are not read and may be NaN; without
        a mask, those that are NaN are missing. The result has S = `n_samples` complete
        draws; they and the moments are computed from `n_draws` draws of z (1024). Of a
        table, `level` is the probability of the intervals (0.9).
        """
        options: dict[str, OptionValue] = {
            "n_samples": n_samples,
            "n_draws": n_draws,
            "level": level,
            "seed": arguments.seed_or_random(seed),
            "binarize": binarize,
            "unknown": unknown,
        }
        rows = await self._x(x, unknown)
        if mask is None:
            known = PreparedRows("mask", ~np.isnan(rows.values))
        else:
            known = await self._mask(mask)
        return await self._analyze_rows(
            "/impute", ImputeResult, rows, options, first, known
        )

    async def _analyze(
        self,
        path: str,
        result: type[A],
        x: ArrayLike,
        unknown: UnknownChoice | None,
        options: Mapping[str, OptionValue],
        first: int,
    ) -> A:
        """Call an analysis that draws noise for each row by its position."""
        rows = await self._x(x, unknown)
        return await self._analyze_rows(path, result, rows, options, first)

    async def _analyze_rows(
        self,
        path: str,
        result: type[A],
        rows: PreparedRows,
        options: Mapping[str, OptionValue],
        first: int,
        mask: PreparedRows | None = None,
    ) -> A:
        """Call an analysis as `_analyze` does, with rows as they are sent."""
        arrays = [rows] if mask is None else [rows, mask]
        tensors = {one.name: one.values for one in arrays}
        version = common_version(self._settings.url, arrays)
        model = await self._model()
        plan = plans.analysis(model, path, result, tensors, options, first=index(first))
        return await self._call(plan, version)
