"""Reads requests: an array in any of its formats, and options."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar, final

import numpy as np

from app.errors import Fault, UnprocessableError, number
from app.http import array_names, options, tables
from app.http.body_budget import BodyBudget
from app.http.input import Input, layout_of_data
from app.http.pictures import Images, Picture
from app.http.request import Request
from app.http.schema import ImageOutput, StrictObject
from app.http.tables import TableBodies
from app.settings import Settings
from app.wire import npy, safetensors
from app.wire.body import Body
from app.wire.images import data_urls
from app.wire.images.layout import image_layout, why_no_images
from app.wire.json import strict
from app.wire.json.rows import ImagesInsteadError, JsonRows
from app.wire.layout import LARGEST, Layout, Rows
from app.wire.masked import Masked, MaskedRows
from app.wire.negotiation import (
    JPEG,
    JSON,
    NPY,
    PNG,
    SAFETENSORS,
    Format,
    Formats,
    check_coding,
    request_format,
)
from model.checkpoint import Checkpoint
from model.engine.support import OutsideSupportError
from model.noise import random_seed
from model.option_values import Binarize
from model.raw_values import RawValues

_ONE_ARRAY: Formats = (JSON, SAFETENSORS, NPY)
_OPTIONS_ONLY: Formats = (JSON,)
_NAMED_ARRAYS: Formats = (JSON, SAFETENSORS)

# Longer arrays are checked in a thread: numpy releases the interpreter lock.
_THREADED_BYTES = 1 << 20

_Options = TypeVar("_Options", bound=StrictObject)


@final
class Reader:
    """
    Reads requests to one model.

    Attributes:
        raw: How raw values become x, and which x is accepted.
        x: Data, as numbers or, if the model's data are images, as images.
        z: Latents.
        analyzed: Data for an analysis: fewer rows, as numbers only.
        images: Reads and writes images; None if the model's data are not images.
        why_no_images: Why the data are not images; empty if they are.
    """

    def __init__(self, served: Checkpoint, settings: Settings) -> None:
        config = served.config
        self._bodies = BodyBudget(
            max_bytes=settings.max_body_bytes,
            max_bytes_together=settings.max_bodies_bytes,
        )
        self._likelihood = config.likelihood.kind
        self._shape = config.data_shape
        self.why_no_images = why_no_images(
            config.data_shape,
            value_range=served.vae.likelihood.value_range or config.data.value_range,
        )
        in_model_units = served.vae.in_model_units
        z = Layout("z", (config.latent_dim,), settings.max_rows)
        self.z = Input(z, JsonRows(z), _ONE_ARRAY, in_model_units)
        self.raw = RawValues.of_model(config)
        x = layout_of_data(served, self.raw, settings.max_rows)
        by_name = tables.formats() if x.columns else ()
        data, self._masked_formats = _ONE_ARRAY + by_name, _NAMED_ARRAYS + by_name
        readable = data
        self.images: Images | None = None
        if not self.why_no_images:
            layout = image_layout(
                x.shape,
                max_pixels=settings.max_image_pixels,
                background=config.data.background,
                turns_gray=config.data.turned_gray,
            )
            self.images = Images(layout, x)
            readable += (PNG, JPEG)
        self.x = Input(x, JsonRows(x, may_be_images=True), readable, in_model_units)
        self._numbers = Input(x, JsonRows(x), _ONE_ARRAY, in_model_units)
        max_rows = min(settings.max_rows, settings.max_analysis_rows)
        analyzed = replace(x, max_rows=max_rows)
        self.analyzed = Input(analyzed, JsonRows(analyzed), data, in_model_units)
        self._masked = MaskedRows(analyzed)
        self._tables = TableBodies(self._bodies)

    @property
    def x_range(self) -> tuple[float, float]:
        """The smallest and the largest number that x may be."""
        units = self.x.layout.units
        widest = (-LARGEST, LARGEST) if units is None else units.x_range
        return self.raw.value_range or widest

    async def read(
        self, request: Request, wanted: Input, schema: type[_Options]
    ) -> tuple[Rows, _Options]:
        """
        Return the array and the options of a request.

        Raises:
            ProblemError: The request is invalid.
        """
        rows, parsed = await self._read(request, wanted, schema)
        if rows.unknown or parsed is not options.defaults(schema):
            check_known(rows, parsed, wanted.layout)
        if wanted.layout.schema is None:
            return rows, parsed
        request.absent = rows.absent
        return await wanted.convert(rows), parsed

    async def _read(
        self, request: Request, wanted: Input, schema: type[_Options]
    ) -> tuple[Rows, _Options]:
        format_ = self._format(request, wanted.readable)
        body = await request.body(self._bodies)
        query = request.query_string
        if format_ is JSON:
            try:
                rows, scalars = await wanted.json.read(body)
            except ImagesInsteadError as error:
                if self.images is None:
                    fault = Fault(f"/{data_urls.NAME}", self.why_no_images)
                    raise UnprocessableError(fault) from None
                return await self.images.read_urls(error.members, schema, query)
            return rows, _read_options(schema, scalars, query)
        if self.images is not None and format_ in (PNG, JPEG):
            return await self.images.read(body, format_, schema, query)
        parsed = _read_options(schema, {}, query)
        if format_ in tables.FORMATS:
            layout = wanted.layout
            return await self._tables.read_rows(request, format_, body, layout), parsed
        read = safetensors.read if format_ is SAFETENSORS else npy.read
        return await _read_binary(read, body, wanted.layout), parsed

    async def read_masked(
        self, request: Request, schema: type[_Options]
    ) -> tuple[Masked, _Options]:
        """
        Return x with the mask of its known values, and the options of a request.

        Raises:
            ProblemError: The request is invalid.
        """
        format_ = self._format(request, self._masked_formats)
        body = await request.body(self._bodies)
        query = request.query_string
        if format_ is JSON:
            masked, members = await self._masked.read_json(body)
            parsed = _read_options(schema, members, query)
        else:
            parsed = _read_options(schema, {}, query)
            if format_ is SAFETENSORS:
                masked = await asyncio.to_thread(self._masked.read_safetensors, body)
            else:
                masked = await self._tables.read(
                    request, format_, body, self.analyzed.layout, self._masked.of_table
                )
        check_known(masked.x, parsed, self.x.layout)
        request.absent = masked.x.absent
        x = await self.x.convert(masked.x)
        return masked._replace(x=x), parsed

    async def read_content(self, request: Request) -> Body:
        """
        Return the body of a request, decompressed, whatever its Content-Type is.

        Raises:
            ProblemError: It cannot be decompressed, or is too long.
        """
        coding = request.headers.get(b"content-encoding")
        if coding is not None:
            check_coding(coding)
        return await request.body(self._bodies)

    def _format(self, request: Request, readable: Formats) -> Format:
        return request_format(
            request.headers.get(b"content-type"),
            request.headers.get(b"content-encoding"),
            readable,
            self.why_no_images,
        )

    async def read_either(
        self, request: Request, schema: type[_Options]
    ) -> tuple[array_names.Name, Rows, _Options]:
        """
        Return the name of the array, x or z, its rows, and the request's options.

        Raises:
            ProblemError: The request has both arrays or neither, or is invalid.
        """
        format_ = self._format(request, _NAMED_ARRAYS)
        body = await request.body(self._bodies)
        columns = self.x.layout.columns if format_ is JSON else None
        names = array_names.names_in(body, columns)
        if len(names) != 1:
            got = "both" if names else "neither"
            what = f"expected exactly one of x and z, got {got}"
            raise UnprocessableError(Fault("", what))
        (name,) = names
        wanted, query = self.z if name == "z" else self._numbers, request.query_string
        if format_ is JSON:
            rows, members = await wanted.json.read(body)
        else:
            rows = await _read_binary(safetensors.read, body, wanted.layout)
            members = {}
        parsed = _read_options(schema, members, query)
        check_known(rows, parsed, wanted.layout)
        request.absent = rows.absent
        return name, await wanted.convert(rows), parsed

    async def read_options(self, request: Request, schema: type[_Options]) -> _Options:
        """Return the options of a request without an array; the body is optional."""
        members: dict[str, Any] = {}
        if request.method == "POST":
            body = await request.body(self._bodies)
            if body or b"content-type" in request.headers:
                request_format(
                    request.headers.get(b"content-type"),
                    request.headers.get(b"content-encoding"),
                    _OPTIONS_ONLY,
                )
            members = strict.read_members(body) if body else {}
        return _read_options(schema, members, request.query_string)

    def picture(self, n: int, output: ImageOutput, format_: Format) -> Picture | None:
        """
        Return the picture layout for a response in PNG; None for other formats.

        Raises:
            ContentTooLargeError: The picture would have too many pixels.
            UnprocessableError: The format is not PNG, but options of PNG were given.
        """
        if format_ is PNG and self.images is not None:
            return self.images.picture(n, output)
        for name in ImageOutput.model_fields:
            if getattr(output, name) != ImageOutput.model_fields[name].default:
                what = "only for a response in image/png, by Accept"
                raise UnprocessableError(Fault(f"/{name}", what))
        return None

    def check_binarize(self, how: Binarize | None) -> None:
        """
        Check that `binarize` is used only with a Bernoulli likelihood.

        Raises:
            UnprocessableError: The model has another likelihood.
        """
        if how is not None and self._likelihood != "bernoulli":
            what = f"expected none: this model's likelihood is {self._likelihood}"
            raise UnprocessableError(Fault("/binarize", what))

    def outside_support_error(
        self, error: OutsideSupportError, x: Rows
    ) -> UnprocessableError:
        """Return the error for a value outside the likelihood's support."""
        row, d = error.index
        pointer = self.x.layout.pointer_to(row, d, shaped=x.shaped)
        detail = f"expected a value in {error.support}, got {number(error.value)}"
        if x.pointer_to is not None:
            pointer = x.pointer_to(row, d)
        if x.pointers:
            pixel = [int(i) for i in np.unravel_index(d, self._shape)]
            pointer, detail = x.pointers[row], f"{detail} at {pixel}"
        if self._likelihood == "bernoulli" and 0 <= error.value <= 1:
            detail += '; "binarize" ("threshold" or "sample") makes gray values binary'
        return UnprocessableError(Fault(pointer, detail))


async def _read_binary(
    read: Callable[[Body, Layout], Rows], body: Body, layout: Layout
) -> Rows:
    """Return the rows of a binary body, which are read in a thread if it is long."""
    if len(body) < _THREADED_BYTES:
        return read(body, layout)
    return await asyncio.to_thread(read, body, layout)


def check_known(rows: Rows, options: StrictObject, layout: Layout) -> None:
    """
    Check that categories are known, unless unknown ones are to be taken as unseen.

    Raises:
        UnprocessableError: One is unknown, or the model has no categories.
    """
    if getattr(options, "unknown", "refuse") == "refuse":  # as in `TableInput`
        if rows.unknown:
            raise UnprocessableError(*rows.unknown)
    elif layout.schema is None:
        what = "expected refuse: this model has no table of mixed kinds"
        raise UnprocessableError(Fault("/unknown", what))


def _read_options(
    schema: type[_Options], members: Mapping[str, Any], query: bytes
) -> _Options:
    """Return the options of a body without images, as most bodies are."""
    if not members and not query:
        found: _Options = options.defaults(schema)
        return found
    parsed = options.read(schema, members, query)
    if getattr(parsed, "resize", False):  # isinstance of a pydantic model: 1 us
        what = "only for images: x_png, or a body in image/png or image/jpeg"
        raise UnprocessableError(Fault("/resize", what))
    return parsed


def seed_or_random(seed: int | None) -> int:
    """Return the given seed, or a random one that fits JavaScript's integers."""
    return seed if seed is not None else random_seed() >> 10
