"""The asynchronous client."""

from collections.abc import Sequence
from math import prod
from operator import index
from typing import Any, final

from numpy.typing import ArrayLike

from vae_client import arguments, plans
from vae_client.arguments import OptionValue
from vae_client.asynchronous.analyses import AsyncAnalysisMethods
from vae_client.results import (
    BinarizeChoice,
    DecodeResult,
    DrawChoice,
    ElboResult,
    EncodeResult,
    ExamplesResult,
    InterpolateResult,
    PathChoice,
    ReconstructResult,
    SampleResult,
    ScaleChoice,
    TraverseResult,
    UnknownChoice,
)


@final
class AsyncClient(AsyncAnalysisMethods):
    """
    A service at a URL. Use one client for all tasks of a loop: it keeps connections.

    x is (N, D) or (N, *data_shape), or a data frame with the model's columns in any
    order; z is (N, J). In a table, `unknown="unseen"` takes an unknown category as one
    that training has not seen; by default it is refused.

    Every call can raise `VaeError`; the module `vae_client.errors` lists the kinds.
    Temporary failures are retried, twice by default and after a `Retry-After` of up to
    30 s, with the same seed, so a retry returns the same result.
    """

    async def encode(
        self, x: ArrayLike, *, unknown: UnknownChoice | None = None
    ) -> EncodeResult:
        """Return q(z|x); any number of rows, in several requests if needed."""
        rows = await self._x(x, unknown)
        model, tensors = await self._model(), {"x": rows.values}
        options = {"unknown": unknown}
        plan = plans.separate_rows(model, "/encode", EncodeResult, tensors, options)
        return await self._call(plan, rows.version)

    async def decode(self, z: ArrayLike, *, parameters: bool = False) -> DecodeResult:
        """
        Return p(x|z); any number of rows, in several requests if needed.

        Args:
            parameters: Whether to return the distribution of every cell of a table of
                mixed kinds too.
        """
        tensors = {"z": arguments.array("z", z)}
        options = {"parameters": True} if parameters else {}
        model = await self._model()
        n_outputs = 1
        if parameters:
            n_outputs += 7 + -(-len(model.levels) // prod(model.data_shape))
        plan = plans.separate_rows(
            model, "/decode", DecodeResult, tensors, options, n_outputs=n_outputs
        )
        return await self._call(plan)

    async def sample(
        self,
        n: int = 1,
        *,
        seed: int | None = None,
        temperature: float = 1.0,
        draw: DrawChoice = "mean",
        complete: bool = False,
        first: int = 0,
    ) -> SampleResult:
        """
        Return n draws of z ~ p(z) at a temperature, and for each E[x|z] or a draw of x.

        They are the rows from `first` on of all that the seed gives. n may be any
        number: more than the service accepts are asked for in several requests.

        Args:
            complete: For a table of mixed kinds: whether draws of x have no missing
                cells, which are NaN.
        """
        options: dict[str, Any] = {
            "seed": arguments.seed_or_random(seed),
            "temperature": float(temperature),
            "draw": draw,
        }
        if complete:
            options["complete"] = True
        model = await self._model()
        plan = plans.positioned_rows(
            model,
            "/sample",
            SampleResult,
            {},
            options,
            first=index(first),
            n_rows=index(n),
            n_outputs=1,
            n_noise=model.latent_dim + prod(model.data_shape),
        )
        return await self._call(plan)

    async def elbo(
        self,
        x: ArrayLike,
        *,
        n_samples: int = 1,
        seed: int | None = None,
        binarize: BinarizeChoice | None = None,
        unknown: UnknownChoice | None = None,
        first: int = 0,
    ) -> ElboResult:
        """
        Return the ELBO of each row of x and its terms, in nats.

        The first row is scored as the row at position `first` of its data. Any number
        of rows, in several requests if needed, all with the same seed.
        """
        rows = await self._x(x, unknown)
        options: dict[str, OptionValue] = {
            "n_samples": index(n_samples),
            "seed": arguments.seed_or_random(seed),
            "binarize": binarize,
            "unknown": unknown,
        }
        model = await self._model()
        plan = plans.positioned_rows(
            model,
            "/elbo",
            ElboResult,
            {"x": rows.values},
            options,
            first=index(first),
            n_draws=index(n_samples),
            n_noise=index(n_samples) * model.latent_dim,
        )
        return await self._call(plan, rows.version)

    async def reconstruct(
        self,
        x: ArrayLike,
        *,
        n_samples: int = 0,
        seed: int | None = None,
        unknown: UnknownChoice | None = None,
        first: int = 0,
    ) -> ReconstructResult:
        """
        Return E[x|z] of each row, z the mean of q(z|x) or `n_samples` draws of it.

        Any number of rows, in several requests if needed.
        """
        rows, n_samples = await self._x(x, unknown), index(n_samples)
        options: dict[str, OptionValue] = {"unknown": unknown}
        path, tensors = "/reconstruct", {"x": rows.values}
        model = await self._model()
        if n_samples == 0:
            plan = plans.separate_rows(
                model, path, ReconstructResult, tensors, options, n_outputs=1
            )
            return await self._call(plan, rows.version)
        options["n_samples"] = n_samples
        options["seed"] = arguments.seed_or_random(seed)
        plan = plans.positioned_rows(
            model,
            path,
            ReconstructResult,
            tensors,
            options,
            first=index(first),
            n_outputs=n_samples,
            n_noise=n_samples * model.latent_dim,
        )
        return await self._call(plan, rows.version)

    async def interpolate(
        self,
        *,
        x: ArrayLike | None = None,
        z: ArrayLike | None = None,
        n: int = 11,
        path: PathChoice = "great_circle",
        unknown: UnknownChoice | None = None,
    ) -> InterpolateResult:
        """Return n points on the path between two rows, of x or of z."""
        rows = await self._x_or_z(x, z, unknown)
        tensors = {rows.name: rows.values}
        options = {"n": index(n), "path": path, "unknown": unknown}
        plan = plans.latent_path(
            "/interpolate", InterpolateResult, tensors, options, n_rows=index(n)
        )
        return await self._call(plan, rows.version)

    async def traverse(
        self,
        *,
        x: ArrayLike | None = None,
        z: ArrayLike | None = None,
        dims: Sequence[int] | None = None,
        n: int = 11,
        scale: ScaleChoice = "prior",
        unknown: UnknownChoice | None = None,
    ) -> TraverseResult:
        """
        Return one row, of x or of z, with n values in each of `dims`, or in each.

        The values are quantiles of the prior or, with `scale="aggregate"`, of the
        aggregate posterior.
        """
        rows = await self._x_or_z(x, z, unknown)
        options = {
            "dims": arguments.dims_text(dims),
            "n": index(n),
            "scale": scale,
            "unknown": unknown,
        }
        version, n_dims = rows.version, 0 if dims is None else len(dims)
        if dims is None:
            model = await self.model()
            version, n_dims = version or model.version, model.latent_dim
        plan = plans.latent_path(
            "/traverse",
            TraverseResult,
            {rows.name: rows.values},
            options,
            n_rows=n_dims,
            n_rows_of={"levels": index(n)},
        )
        return await self._call(plan, version)

    async def examples(self) -> ExamplesResult:
        """
        Return rows that were held out of training, and their ELBO.

        Raises:
            RequestError: Also if the service is set up not to show them (404).
        """
        model = await self.model()
        return await self._call(plans.held_out_examples(model), model.version)
