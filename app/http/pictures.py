"""Reads the images of requests and writes those of responses, in threads if large."""

import asyncio
from base64 import b64encode
from typing import Any, NamedTuple, TypeVar, final

from numpy.typing import NDArray

from app.errors import Fault, UnprocessableError
from app.http import options
from app.http.schema import ImageInput, ImageOutput, StrictObject
from app.wire.body import Body as Content
from app.wire.images import data_urls, decode, png
from app.wire.images.decode import ImageFile
from app.wire.images.layout import Grid, ImageLayout
from app.wire.layout import Array, Layout, Rows
from app.wire.negotiation import Format
from app.wire.reply import Chunk
from app.wire.threads import Threads

# Work up to these limits takes at most a millisecond; larger work runs in a thread.
_INLINE_PIXELS = 1 << 14
_INLINE_BYTES = 1 << 14
# Decoding an image with the maximum number of pixels takes up to 240 MB.
_MAX_AT_ONCE = 2

_Options = TypeVar("_Options", bound=StrictObject)


@final
class Picture(NamedTuple):
    """How the images of a response are laid out in one picture."""

    layout: ImageLayout
    grid: Grid

    async def write(self, values: Array) -> list[Chunk]:
        """Return the picture as PNG."""
        (columns, rows, scale), layout = self.grid, self.layout
        n_pixels = columns * rows * scale**2 * layout.height * layout.width
        if n_pixels <= _INLINE_PIXELS:
            return png.write(values, layout, self.grid)
        return await asyncio.to_thread(png.write, values, layout, self.grid)


@final
class Images:
    """Reads the images of requests to one model, and lays out those of responses."""

    def __init__(self, layout: ImageLayout, rows: Layout) -> None:
        self._layout = layout
        self._rows = rows
        self._threads = Threads(_MAX_AT_ONCE)

    async def read(
        self, body: Content, format_: Format, schema: type[_Options], query: bytes
    ) -> tuple[Rows, _Options]:
        """
        Return the one row of a body that is an image, and the request's options.

        Raises:
            UnprocessableError: The image does not have the model's mode and size.
            ContentTooLargeError: The image has too many pixels.
        """
        parsed = options.read(schema, {}, query)
        return await self._decode([ImageFile("", format_, body)], parsed), parsed

    async def read_urls(
        self, members: dict[str, Any], schema: type[_Options], query: bytes
    ) -> tuple[Rows, _Options]:
        """
        Return the rows of a JSON body with images in place of numbers, and its options.

        Raises:
            UnprocessableError: A member is invalid.
            ContentTooLargeError: There are too many images or pixels.
        """
        x_png = members.pop(data_urls.NAME)
        if self._rows.name in members:
            what = f"expected exactly one of {self._rows.name} and {data_urls.NAME}"
            raise UnprocessableError(Fault(f"/{data_urls.NAME}", f"{what}, got both"))
        parsed = options.read(schema, members, query)
        if isinstance(x_png, list):
            self._rows.check_n_rows(len(x_png))
        files = await asyncio.to_thread(data_urls.files, x_png)
        return await self._decode(files, parsed), parsed

    def picture(self, n: int, output: ImageOutput) -> Picture:
        """
        Return the layout of a picture of n images.

        Raises:
            ContentTooLargeError: The picture would have too many pixels.
        """
        grid = self._layout.grid(n, columns=output.columns, scale=output.scale)
        return Picture(self._layout, grid)

    def data_url(self, x: NDArray[Any]) -> str:
        """Return one example as a data URL that a client can send."""
        grid = Grid(columns=1, rows=1, scale=1)
        file = b"".join(png.write(x, self._layout, grid))
        return f"data:image/png;base64,{b64encode(file).decode()}"

    async def _decode(self, files: list[ImageFile], parsed: StrictObject) -> Rows:
        resize = isinstance(parsed, ImageInput) and parsed.resize
        layout = self._layout
        if (
            len(files) == 1
            and not resize  # so images of another size are refused, not decoded
            and layout.height * layout.width <= _INLINE_PIXELS
            and len(files[0].content) <= _INLINE_BYTES
        ):
            return decode.read(files, layout, self._rows, resize=False)
        return await self._threads.run(
            lambda stop: decode.read(
                files, layout, self._rows, resize=resize, stop=stop
            )
        )
