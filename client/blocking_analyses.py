"""The analyses and the paths as blocking methods, for the client to inherit."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar

from numpy.typing import ArrayLike

from client import analyses
from client.analysis_results import (
    Anomaly,
    Examples,
    Gap,
    Imputation,
    Interpolation,
    Loglik,
    Posterior,
    Refinement,
    Traversal,
)
from client.calls import Call
from client.results import Binarize, Model, Path, Scale

T = TypeVar("T")


class Analyses(ABC):
    """
    What can be asked beside the operations.

    x is (N, D) or (N, *data_shape), in the likelihood's support or with `binarize`. Any
    N goes: more rows than the service takes at once go in several requests, in order,
    and have the figures, to the bit, that they would have in one; where that cannot be,
    `LimitError` says why. Rows that come one part after the other have the figures of
    the whole if each part is told the same `seed`, and as `first` the number of rows
    before it; parts of a multiple of 16 rows, to the bit.
    """

    def loglik(
        self,
        x: ArrayLike,
        *,
        n_samples: int | None = None,
        target: float | None = None,
        budget: int | None = None,
        upper: bool = False,
        seed: int | None = None,
        binarize: Binarize | None = None,
        first: int = 0,
    ) -> Loglik:
        """
        Return log p(x), an importance-weighted bound of `n_samples` draws, K.

        Without `n_samples`, K is doubled until the standard error is at most `target`
        nats (0.02), or until the draws would be more than `budget` (8192). With
        `upper`, a bound from above comes with it, which takes far longer.
        """
        options: dict[str, analyses.Option] = {
            "n_samples": n_samples,
            "target": target,
            "budget": budget,
            "upper": upper,
        }
        return self._asked(
            lambda model: analyses.analysis(
                analyses.LOGLIK,
                x,
                model,
                options,
                seed=seed,
                binarize=binarize,
                first=first,
            )
        )

    def gap(
        self,
        x: ArrayLike,
        *,
        target: float | None = None,
        budget: int | None = None,
        seed: int | None = None,
        binarize: Binarize | None = None,
        first: int = 0,
    ) -> Gap:
        """Return log p(x) - ELBO and its two parts; options as of `loglik`."""
        options = {"target": target, "budget": budget}
        return self._asked(
            lambda model: analyses.analysis(
                analyses.GAP,
                x,
                model,
                options,
                seed=seed,
                binarize=binarize,
                first=first,
            )
        )

    def refine(
        self,
        x: ArrayLike,
        *,
        seed: int | None = None,
        binarize: Binarize | None = None,
        first: int = 0,
    ) -> Refinement:
        """Return the best q(z|x) for each row alone, and what it gains."""
        return self._asked(
            lambda model: analyses.analysis(
                analyses.REFINE,
                x,
                model,
                {},
                seed=seed,
                binarize=binarize,
                first=first,
            )
        )

    def posterior(
        self,
        x: ArrayLike,
        *,
        seed: int | None = None,
        binarize: Binarize | None = None,
    ) -> Posterior:
        """
        Return p(z|x) itself, on a grid; for one or two latent dimensions.

        Nothing in it is random; the seed is for `binarize`.
        """
        return self._asked(
            lambda model: analyses.analysis(
                analyses.POSTERIOR, x, model, {}, seed=seed, binarize=binarize
            )
        )

    def anomaly(
        self,
        x: ArrayLike,
        *,
        seed: int | None = None,
        binarize: Binarize | None = None,
        first: int = 0,
    ) -> Anomaly:
        """
        Return how each row ranks among those that were held out of training.

        Raises:
            RequestError: The checkpoint has no scores of such rows, too.
        """
        return self._asked(
            lambda model: analyses.analysis(
                analyses.ANOMALY,
                x,
                model,
                {},
                seed=seed,
                binarize=binarize,
                first=first,
            )
        )

    def impute(
        self,
        x: ArrayLike,
        mask: ArrayLike,
        *,
        n_samples: int = 1,
        n_draws: int | None = None,
        seed: int | None = None,
        binarize: Binarize | None = None,
        first: int = 0,
    ) -> Imputation:
        """
        Return what is missing in x, where `mask`, of its shape, is false or 0.

        x is never read there; it may be NaN. `n_samples` whole rows are drawn, S; they
        and the moments rest on `n_draws` draws of z (1000).
        """
        options = {"n_samples": n_samples, "n_draws": n_draws}
        return self._asked(
            lambda model: analyses.analysis(
                analyses.IMPUTE,
                x,
                model,
                options,
                seed=seed,
                binarize=binarize,
                first=first,
                mask=mask,
            )
        )

    def interpolate(
        self,
        *,
        x: ArrayLike | None = None,
        z: ArrayLike | None = None,
        n: int = 11,
        path: Path = "great_circle",
    ) -> Interpolation:
        """Return n points from one to the other of two rows, of x or of z."""
        return self._asked(lambda _: analyses.interpolate(x, z, n=n, path=path))

    def traverse(
        self,
        *,
        x: ArrayLike | None = None,
        z: ArrayLike | None = None,
        dims: Sequence[int] | None = None,
        n: int = 11,
        scale: Scale = "prior",
    ) -> Traversal:
        """
        Return one row, of x or of z, with n values in turn in each of `dims`, or all.

        They are quantiles of the prior, or, by `scale`, of the `aggregate` posterior.
        """
        return self._asked(
            lambda model: analyses.traverse(x, z, model, dims=dims, n=n, scale=scale)
        )

    def examples(self) -> Examples:
        """
        Return rows that were held out of training, and how they score.

        Raises:
            RequestError: The service does not show any (404), too.
        """
        return self._asked(analyses.examples)

    @abstractmethod
    def _asked(self, build: Callable[[Model], Call[T]]) -> T:
        """Make the call that is built for the model as it is known."""
