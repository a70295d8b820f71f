"""The four operations over HTTP: read a request, compute, write the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar, final

import numpy as np

from app import options
from app.answers import answer
from app.errors import ContentTooLargeError, Fault, UnprocessableError, number
from app.exchange import Answer, Request
from app.images import Images
from app.lifecycle import Lifecycle
from app.operations import Operations, OutsideSupportError
from app.schemas import (
    Body,
    DecodeOptions,
    DecodePictureOptions,
    ElboImageOptions,
    ElboOptions,
    EncodeImageOptions,
    EncodeOptions,
    SampleOptions,
    SamplePictureOptions,
)
from app.settings import Settings
from app.wire import data_urls, json_words, npy, safetensors
from app.wire.image_layout import image_layout, why_no_images
from app.wire.json_rows import ImagesInsteadError, JsonRows
from app.wire.layout import Array, Layout, Rows
from app.wire.negotiation import (
    JPEG,
    JSON,
    NPY,
    PNG,
    SAFETENSORS,
    Formats,
    request_format,
    response_format,
)
from app.wire.reply import Reply
from model.noise import random_seed

READABLE: Formats = (JSON, SAFETENSORS, NPY)
WITHOUT_ARRAY: Formats = (JSON,)
ALL_ARRAYS: Formats = (JSON, SAFETENSORS)
MAIN_ARRAY: Formats = (JSON, SAFETENSORS, NPY)

# numpy releases the interpreter's lock, so checking long arrays is left to a thread.
_THREADED_BYTES = 1 << 20

# An answer to GET may be cached; one URL has several forms.
_VARY = ((b"vary", b"accept"),)

Endpoint = Callable[[Request], Awaitable[Answer]]
_Options = TypeVar("_Options", bound=Body)


@final
class _Input(NamedTuple):
    """The one array an operation takes, and what reads it."""

    layout: Layout
    json: JsonRows
    readable: Formats


@final
class Endpoints:
    """
    `encode`, `decode`, `sample`, `elbo`, each an answer to a request.

    Attributes:
        images: What reads and shows the model's data if they are images.
    """

    def __init__(
        self, operations: Operations, settings: Settings, lifecycle: Lifecycle
    ) -> None:
        config = operations.engine.checkpoint.config
        self._operations = operations
        self._settings = settings
        self._lifecycle = lifecycle
        self._likelihood = config.likelihood.kind
        self._shape = config.data_shape
        self._dim, self._latent_dim = config.data_dim, config.latent_dim
        self._why_no_images = why_no_images(
            config.data_shape,
            value_range=operations.engine.checkpoint.vae.likelihood.value_range,
            divided_by=config.data.divided_by,
        )
        x = Layout("x", config.data_shape, settings.max_rows)
        z = Layout("z", (config.latent_dim,), settings.max_rows)
        self._z = _Input(z, JsonRows(z), READABLE)
        self._x = _Input(x, JsonRows(x, may_be_images=True), READABLE)
        one_main = self._likelihood != "gaussian"
        self.decode_formats = MAIN_ARRAY if one_main else ALL_ARRAYS
        self.sample_formats = MAIN_ARRAY
        self.images: Images | None = None
        if not self._why_no_images:
            layout = image_layout(x.shape, max_pixels=settings.max_image_pixels)
            self.images = Images(layout, x)
            self._x = self._x._replace(readable=(*READABLE, PNG, JPEG))
            self.decode_formats += (PNG,)
            self.sample_formats += (PNG,)

    @property
    def x_formats(self) -> Formats:
        """The formats in which x is read."""
        return self._x.readable

    async def encode(self, request: Request) -> Answer:
        """Answer q(z|x) for x."""
        self._lifecycle.check_serving()
        format_ = response_format(request.accept, ALL_ARRAYS)
        x, _ = await self._read(request, self._x, EncodeOptions, EncodeImageOptions)
        encoding = await self._operations.encode(x.values)
        reply = Reply({"mu": encoding.mu, "log_var": encoding.log_var})
        return await answer(reply, format_, source="x")

    async def decode(self, request: Request) -> Answer:
        """Answer the parameters of p(x|z) for z."""
        self._lifecycle.check_serving()
        format_ = response_format(
            request.accept, self.decode_formats, self._why_no_images
        )
        schema = DecodePictureOptions if format_ is PNG else DecodeOptions
        z, asked = await self._read(request, self._z, schema, schema)
        self._check_output(len(z.values))
        picture = None
        if format_ is PNG and self.images is not None:
            picture = self.images.picture(len(z.values), asked)
        decoding = await self._operations.decode(z.values)
        tensors = {"mean": self._shaped(decoding.mean)}
        if decoding.log_var is not None:
            tensors["log_var"] = self._shaped(decoding.log_var)
        reply = Reply(tensors, {"likelihood": self._likelihood})
        return await answer(reply, format_, source="z", picture=picture)

    async def sample(self, request: Request) -> Answer:
        """Answer draws from the model."""
        self._lifecycle.check_serving()
        format_ = response_format(
            request.accept, self.sample_formats, self._why_no_images
        )
        schema = SamplePictureOptions if format_ is PNG else SampleOptions
        asked = await self._sample_options(request, schema)
        if asked.n > self._settings.max_rows:
            raise ContentTooLargeError(
                f"expected n of at most {self._settings.max_rows}, got {asked.n}"
            )
        self._check_output(asked.n)
        picture = None
        if format_ is PNG and self.images is not None:
            picture = self.images.picture(asked.n, asked)
        seed = _seed(asked.seed)
        sample = await self._operations.sample(
            asked.n, seed=seed, temperature=asked.temperature, draw=asked.draw
        )
        reply = Reply({"x": self._shaped(sample.x), "z": sample.z}, {"seed": seed})
        return await answer(
            reply, format_, source="temperature", picture=picture, headers=_VARY
        )

    async def elbo(self, request: Request) -> Answer:
        """Answer the ELBO of x and its terms."""
        self._lifecycle.check_serving()
        format_ = response_format(request.accept, ALL_ARRAYS)
        x, asked = await self._read(request, self._x, ElboOptions, ElboImageOptions)
        self._check_elbo(asked, n_rows=len(x.values))
        seed = _seed(asked.seed)
        try:
            elbo = await self._operations.elbo(
                x.values,
                n_samples=asked.n_samples,
                seed=seed,
                binarize=asked.binarize,
            )
        except OutsideSupportError as error:
            raise self._outside(error, x) from error
        scalars = {
            "n_samples": asked.n_samples,
            "seed": seed,
            "binarize": asked.binarize,
            "units": "nats",
        }
        return await answer(Reply(elbo._asdict(), scalars), format_, source="x")

    async def _read(
        self,
        request: Request,
        wanted: _Input,
        schema: type[_Options],
        image_schema: type[_Options],
    ) -> tuple[Rows, _Options]:
        """Return the array and the options of a request, by the schema of its form."""
        format_ = request_format(
            request.headers.get(b"content-type"),
            request.headers.get(b"content-encoding"),
            wanted.readable,
            self._why_no_images,
        )
        body = await request.body(limit=self._settings.max_body_bytes)
        query = request.query_string
        if format_ is JSON:
            try:
                rows, scalars = await wanted.json.read(body)
            except ImagesInsteadError as error:
                if self.images is None:
                    fault = Fault(f"/{data_urls.NAME}", self._why_no_images)
                    raise UnprocessableError(fault) from None
                return await self.images.read_urls(error.members, image_schema, query)
            return rows, options.read(schema, scalars, query)
        if self.images is not None and format_ in (PNG, JPEG):
            return await self.images.read(body, format_, image_schema, query)
        asked = options.read(schema, {}, query)
        read = safetensors.read if format_ is SAFETENSORS else npy.read
        if len(body) < _THREADED_BYTES:
            return read(body, wanted.layout), asked
        return await asyncio.to_thread(read, body, wanted.layout), asked

    async def _sample_options(
        self, request: Request, schema: type[SampleOptions]
    ) -> SampleOptions:
        """Return the options of `/sample`, whose body may be missing."""
        members: dict[str, Any] = {}
        if request.method == "POST":
            body = await request.body(limit=self._settings.max_body_bytes)
            if body or b"content-type" in request.headers:
                request_format(
                    request.headers.get(b"content-type"),
                    request.headers.get(b"content-encoding"),
                    WITHOUT_ARRAY,
                )
            members = json_words.read_members(body) if body else {}
        return options.read(schema, members, request.query_string)

    def _shaped(self, values: Array) -> Array:
        return values.reshape(-1, *self._shape)

    def _check_output(self, n_rows: int) -> None:
        limit, values = self._settings.max_output_values, n_rows * self._dim
        if values > limit:
            raise ContentTooLargeError(
                f"expected to answer at most {limit} values, "
                f"got {n_rows} rows of {self._dim}, which are {values}"
            )

    def _check_elbo(self, asked: ElboOptions, *, n_rows: int) -> None:
        k, limits = asked.n_samples, self._settings
        if k > limits.max_n_samples:
            what = f"expected 1 to {limits.max_n_samples}, got {number(k)}"
            raise UnprocessableError(Fault("/n_samples", what))
        if asked.binarize is not None and self._likelihood != "bernoulli":
            what = f"expected none: this model's likelihood is {self._likelihood}"
            raise UnprocessableError(Fault("/binarize", what))
        values = k * n_rows * max(self._dim, self._latent_dim)
        if values > limits.max_work:
            raise ContentTooLargeError(
                f"expected to compute at most {limits.max_work} values, got {n_rows} "
                f"rows of {self._dim} with n_samples {k}, which are {values}"
            )

    def _outside(self, error: OutsideSupportError, x: Rows) -> UnprocessableError:
        row, d = error.index
        pointer = self._x.layout.pointer_to(row, d, shaped=x.shaped)
        detail = f"expected a value in {error.support}, got {number(error.value)}"
        if x.pointers:
            pixel = [int(i) for i in np.unravel_index(d, self._shape)]
            pointer, detail = x.pointers[row], f"{detail} at {pixel}"
        if self._likelihood == "bernoulli" and 0 <= error.value <= 1:
            detail += '; "binarize" ("threshold" or "sample") makes grey values binary'
        return UnprocessableError(Fault(pointer, detail))


def _seed(asked: int | None) -> int:
    """Return the seed asked for, or a fresh one that fits JavaScript's integers."""
    return asked if asked is not None else random_seed() >> 10
