"""The four operations over HTTP: read a request, compute, write the answer."""

from collections.abc import Awaitable, Callable
from typing import final

from app.compute.operations import Operations, OutsideSupportError
from app.errors import ContentTooLargeError, Fault, UnprocessableError, number
from app.http.exchange import Request, Response
from app.http.reader import Reader, seed_of
from app.http.writer import answer
from app.schemas import (
    DecodeOptions,
    DecodePictureOptions,
    ElboImageOptions,
    ElboOptions,
    EncodeImageOptions,
    EncodeOptions,
    SampleOptions,
    SamplePictureOptions,
)
from app.serving.lifecycle import Lifecycle
from app.settings import Settings
from app.wire.layout import Array
from app.wire.negotiation import JSON, NPY, PNG, SAFETENSORS, Formats, response_format
from app.wire.reply import FLOAT32_BYTES, Reply

ALL_ARRAYS: Formats = (JSON, SAFETENSORS)
MAIN_ARRAY: Formats = (JSON, SAFETENSORS, NPY)

# An answer to GET may be cached; one URL has several forms.
_VARY = ((b"vary", b"accept"),)

Endpoint = Callable[[Request], Awaitable[Response]]


@final
class Endpoints:
    """`encode`, `decode`, `sample`, `elbo`, each an answer to a request."""

    def __init__(
        self,
        reader: Reader,
        operations: Operations,
        settings: Settings,
        lifecycle: Lifecycle,
    ) -> None:
        config = operations.engine.checkpoint.config
        self._reader = reader
        self._operations = operations
        self._settings = settings
        self._lifecycle = lifecycle
        self._likelihood = config.likelihood.kind
        self._shape = config.data_shape
        self._dim, self._values_per_draw = config.data_dim, config.values_per_draw
        self.has_images = reader.images is not None
        pictures = (PNG,) if self.has_images else ()
        one_main = self._likelihood != "gaussian"
        self.x_formats = reader.x.readable
        self.decode_formats = (*(MAIN_ARRAY if one_main else ALL_ARRAYS), *pictures)
        self.sample_formats = (*MAIN_ARRAY, *pictures)

    async def encode(self, request: Request) -> Response:
        """Answer q(z|x) for x."""
        self._lifecycle.check_serving()
        self._operations.check_room()
        format_ = response_format(request.accept, ALL_ARRAYS)
        x, _ = await self._reader.read(
            request, self._reader.x, EncodeOptions, EncodeImageOptions
        )
        encoding = await self._operations.encode(x.values)
        reply = Reply({"mu": encoding.mu, "log_var": encoding.log_var})
        return await answer(reply, format_, source="x")

    async def decode(self, request: Request) -> Response:
        """Answer the parameters of p(x|z) for z."""
        self._lifecycle.check_serving()
        self._operations.check_room()
        format_ = response_format(
            request.accept, self.decode_formats, self._reader.why_no_images
        )
        schema = DecodePictureOptions if format_ is PNG else DecodeOptions
        z, asked = await self._reader.read(request, self._reader.z, schema)
        self._check_output(request, len(z.values))
        picture = None
        if format_ is PNG and self._reader.images is not None:
            picture = self._reader.images.picture(len(z.values), asked)
        decoding = await self._operations.decode(z.values)
        tensors = {"mean": self._shaped(decoding.mean)}
        if decoding.log_var is not None:
            tensors["log_var"] = self._shaped(decoding.log_var)
        reply = Reply(tensors, {"likelihood": self._likelihood})
        return await answer(reply, format_, source="z", picture=picture)

    async def sample(self, request: Request) -> Response:
        """Answer draws from the model."""
        self._lifecycle.check_serving()
        self._operations.check_room()
        format_ = response_format(
            request.accept, self.sample_formats, self._reader.why_no_images
        )
        schema = SamplePictureOptions if format_ is PNG else SampleOptions
        asked = await self._reader.options(request, schema)
        if asked.n > self._settings.max_rows:
            raise ContentTooLargeError(
                f"expected n of at most {self._settings.max_rows}, got {asked.n}"
            )
        self._check_output(request, asked.n)
        picture = None
        if format_ is PNG and self._reader.images is not None:
            picture = self._reader.images.picture(asked.n, asked)
        seed = seed_of(asked.seed)
        sample = await self._operations.sample(
            asked.n, seed=seed, temperature=asked.temperature, draw=asked.draw
        )
        reply = Reply({"x": self._shaped(sample.x), "z": sample.z}, {"seed": seed})
        return await answer(
            reply,
            format_,
            source="temperature",
            by_row=False,
            picture=picture,
            headers=_VARY,
        )

    async def elbo(self, request: Request) -> Response:
        """Answer the ELBO of x and its terms."""
        self._lifecycle.check_serving()
        self._operations.check_room()
        format_ = response_format(request.accept, ALL_ARRAYS)
        x, asked = await self._reader.read(
            request, self._reader.x, ElboOptions, ElboImageOptions
        )
        self._check_elbo(asked, n_rows=len(x.values))
        seed = seed_of(asked.seed)
        try:
            elbo = await self._operations.elbo(
                x.values,
                n_samples=asked.n_samples,
                seed=seed,
                binarize=asked.binarize,
            )
        except OutsideSupportError as error:
            raise self._reader.outside(error, x) from error
        scalars = {
            "n_samples": asked.n_samples,
            "seed": seed,
            "binarize": asked.binarize,
            "units": "nats",
        }
        tensors = {k: v for k, v in elbo._asdict().items() if v is not None}
        return await answer(Reply(tensors, scalars), format_, source="x")

    def _shaped(self, values: Array) -> Array:
        return values.reshape(-1, *self._shape)

    def _check_output(self, request: Request, n_rows: int) -> None:
        limit, values = self._settings.max_output_values, n_rows * self._dim
        if values > limit:
            raise ContentTooLargeError(
                f"expected to answer at most {limit} values, "
                f"got {n_rows} rows of {self._dim}, which are {values}"
            )
        request.hold(values * FLOAT32_BYTES)

    def _check_elbo(self, asked: ElboOptions, *, n_rows: int) -> None:
        k, limits = asked.n_samples, self._settings
        if k > limits.max_n_samples:
            what = f"expected 1 to {limits.max_n_samples}, got {number(k)}"
            raise UnprocessableError(Fault("/n_samples", what))
        self._reader.check_binarize(asked.binarize)
        values = k * n_rows * self._values_per_draw
        if values > limits.max_work:
            raise ContentTooLargeError(
                f"expected to compute at most {limits.max_work} values, got {n_rows} "
                f"rows of {self._dim} with n_samples {k}, which are {values}"
            )
