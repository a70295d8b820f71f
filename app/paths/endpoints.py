"""Ways through latent space over HTTP: between two latents, and along a dimension."""

from typing import TypeVar, final

import numpy as np

from app.compute.operations import Operations
from app.endpoints import ALL_ARRAYS
from app.errors import ContentTooLargeError, Fault, UnprocessableError, number
from app.http.exchange import Request, Response
from app.http.reader import Reader
from app.http.writer import answer
from app.paths.schemas import InterpolateOptions, Scale, TraverseOptions
from app.schemas import Body
from app.serving.lifecycle import Lifecycle
from app.settings import Settings
from app.wire.layout import Array
from app.wire.negotiation import Format, response_format
from app.wire.reply import FLOAT32_BYTES, Reply
from model.engine.paths import Quantiles, aggregate_quantiles, interpolated, traversed

_Options = TypeVar("_Options", bound=Body)


@final
class PathEndpoints:
    """`interpolate` and `traverse`, each an answer to a request."""

    def __init__(
        self,
        reader: Reader,
        operations: Operations,
        settings: Settings,
        lifecycle: Lifecycle,
    ) -> None:
        checkpoint = operations.engine.checkpoint
        self._config = checkpoint.config
        self._calibration = checkpoint.calibration
        self._reader = reader
        self._operations = operations
        self._settings = settings
        self._lifecycle = lifecycle

    async def interpolate(self, request: Request) -> Response:
        """
        Answer a path from one row to another through latent space, and its data.

        Two rows of `x` are encoded, each to the mean of its q(z|x), or two rows of `z`
        are given. The first and the last point are exactly these. Between them a
        straight line passes nearer to the origin than draws of a standard normal prior
        lie, in many dimensions far nearer, where the model has learnt little; a great
        circle stays out there (White 2016). Of a learned prior neither is true.
        """
        format_, ends, name, options = await self._read(
            request, InterpolateOptions, n_rows=2
        )
        self._check_points(request, options.n)
        z = interpolated(ends, options.n, options.path)
        mean = (await self._operations.decode(z)).mean
        mean = mean.reshape(-1, *self._config.data_shape)
        reply = Reply({"z": z, "mean": mean}, {"path": options.path})
        return await answer(reply, format_, source=name, by_row=False)

    async def traverse(self, request: Request) -> Response:
        """
        Answer what each latent dimension does: one is moved, the others are held.

        From the latent `z`, or the mean of q(z|x) of one row of `x`, a dimension takes
        n values, quantiles at equal steps of probability, so that most are where most
        of the mass is: of the prior p(z_j), or, with `scale: "aggregate"`, of where
        data are encoded to. A dimension that changes nothing carries nothing.
        """
        format_, base, name, options = await self._read(
            request, TraverseOptions, n_rows=1
        )
        j = self._config.latent_dim
        dims = list(range(j)) if options.dims is None else options.dims
        if not dims:
            raise UnprocessableError(Fault("/dims", "expected dimensions, got none"))
        for i, dim in enumerate(dims):
            if dim >= j:
                what = f"expected 0 to {j - 1}, got {number(dim)}"
                raise UnprocessableError(Fault(f"/dims/{i}", what))
        self._check_points(request, len(dims) * options.n)
        levels = (np.arange(options.n) + 0.5) / options.n
        quantiles = await self._quantiles(dims, levels, options.scale)
        z = traversed(base[0], dims, quantiles)
        mean = (await self._operations.decode(z.reshape(-1, j))).mean
        mean = mean.reshape(*z.shape[:2], *self._config.data_shape)
        tensors = {"z": z, "mean": mean, "dims": np.array(dims), "levels": levels}
        reply = Reply(tensors, {"scale": options.scale})
        return await answer(reply, format_, source=name, by_row=False)

    async def _read(
        self, request: Request, schema: type[_Options], *, n_rows: int
    ) -> tuple[Format, Array, str, _Options]:
        """Read a request; return latents, and the name of what they came as."""
        self._lifecycle.check_serving()
        self._operations.check_room()
        format_ = response_format(request.accept, ALL_ARRAYS)
        name, rows, options = await self._reader.read_either(request, schema)
        if len(rows.values) != n_rows:
            what = f"expected {n_rows} rows, got {len(rows.values)}"
            raise UnprocessableError(Fault(f"/{name}", what))
        if name == "z":
            return format_, rows.values, name, options
        return format_, (await self._operations.encode(rows.values)).mu, name, options

    async def _quantiles(
        self, dims: list[int], levels: Quantiles, scale: Scale
    ) -> Quantiles:
        """Return the values of these dimensions at these levels, (len(dims), n)."""
        if scale == "prior":
            return await self._operations.prior_quantiles(dims, levels)
        aggregate = None if self._calibration is None else self._calibration.aggregate
        if aggregate is None:
            what = (
                "expected prior: this checkpoint has no quantiles of the aggregate "
                "posterior; training writes them"
            )
            raise UnprocessableError(Fault("/scale", what))
        try:
            return aggregate_quantiles(levels, aggregate)[dims]
        except ValueError as error:
            what = f"expected fewer: {error}, levels that the checkpoint has"
            raise UnprocessableError(Fault("/n", what)) from error

    def _check_points(self, request: Request, n: int) -> None:
        """Check how many points are to be decoded."""
        limits, values = self._settings, n * self._config.data_dim
        if n > limits.max_rows:
            raise ContentTooLargeError(
                f"expected at most {limits.max_rows} points, got {n}"
            )
        if values > limits.max_output_values:
            raise ContentTooLargeError(
                f"expected to answer at most {limits.max_output_values} values, "
                f"got {n} points of {self._config.data_dim}, which are {values}"
            )
        request.hold(values * FLOAT32_BYTES)
