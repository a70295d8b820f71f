"""
How much memory reading takes, besides the body: `python -m tests.app.wire.growth`.

Each body is read in a process of its own, forked after everything is imported, which
prints by how many bytes it grew at most, and what came of the body.
"""

import asyncio
import ctypes
import gzip
import io
import json
import os
import resource
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from safetensors.numpy import save

from app.errors import ProblemError
from app.http.body_budget import BodyBudget
from app.http.request import Request
from app.http.response_budget import ResponseBudget
from app.wire import npy, safetensors
from app.wire.body import Body
from app.wire.csv import reader as csv_reader
from app.wire.images.decode import ImageFile
from app.wire.images.layout import image_layout
from app.wire.json.rows import ImagesInsteadError, JsonRows
from app.wire.layout import Layout
from app.wire.masked import MaskedRows
from app.wire.negotiation import JPEG, PNG, Format
from app.wire.parquet import reader as parquet_reader
from app.wire.parquet.installed import is_installed
from model.tables.schema import TableColumn, TableSchema
from tests.app.pictures import SIGNATURE, chunk, decoded, header, saved

MIB = 1 << 20
N = 16 * MIB
GRAY = image_layout((28, 28), max_pixels=1 << 24)
RGB = image_layout((28, 28, 3), max_pixels=1 << 24)
ROWS = Layout("x", (28, 28), 1 << 20)
WIDE = Layout("x", (1 << 20,), 64)  # a row is longer than any piece
TABLE = Layout("x", (4,), 1 << 22, columns=("a", "b", "c", "d"))
NUMBERS = Layout("x", (1,), 1 << 14, columns=("a",), may_be_missing=True)
WORDS = replace(
    NUMBERS,
    dtype=np.float64,
    schema=TableSchema(
        columns=(TableColumn(name="a", kind="categorical", categories=("b",)),)
    ),
)
SIDE = 2048


class Growth(NamedTuple):
    """
    A body, what reads it, and what it may come to.

    Attributes:
        decoded: Bytes of the rows, or of the pixels of an image; or what finds them
            for a body.
    """

    name: str
    body: Callable[[], bytes]
    read: Callable[[Body], Any]
    decoded: int | Callable[[bytes], int] = 0


def _list(text: bytes, size: int, start: bytes = b'{"x":[') -> bytes:
    return start + text * (size // len(text)) + b"0]}"


def _json(layout: Layout) -> Callable[[Body], Any]:
    rows = JsonRows(layout, may_be_images=True)
    return lambda body: asyncio.run(rows.read(body))


def _masked(layout: Layout) -> Callable[[Body], Any]:
    rows = MaskedRows(layout)
    return lambda body: asyncio.run(rows.read_json(body))


def _masked_tensors(layout: Layout) -> Callable[[Body], Any]:
    return MaskedRows(layout).read_safetensors


def _image(format_: Format, layout: Any = GRAY) -> Callable[[Body], Any]:
    return lambda body: decoded([ImageFile("", format_, body)], layout, resize=True)


def _npy(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def _row(value: bytes, n: int) -> bytes:
    return b'{"x":[[' + b",".join([value] * n) + b"]]}"


def _several(value: bytes, n: int) -> bytes:
    row = b"[" + b",".join([value] * ROWS.dim) + b"]"
    return b'{"x":[' + b",".join([row] * n) + b"]}"


def _two(value: bytes) -> bytes:
    row = b"[[" + b",".join([value] * WIDE.dim) + b"]]"
    return b'{"x":' + row + b',"mask":' + row + b"}"


def _segments(marker: bytes, content: bytes = b"") -> bytes:
    one = marker + (2 + len(content)).to_bytes(2, "big") + content
    return b"\xff\xd8" + one * (N // len(one))


def _png(*chunks: bytes) -> bytes:
    return SIGNATURE + header(28, 28) + b"".join(chunks) + chunk(b"IEND")


def _picture(kind: str, mode: str, **options: Any) -> Callable[[], bytes]:
    opaque = 0 if len(mode) < 4 else (0, 0, 0, 255)
    return lambda: saved(Image.new(mode, (SIDE, SIDE), opaque), kind, **options)


def _noise() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    return saved(Image.fromarray(pixels), compress_level=0)


async def _collected(sent: Body | None = None) -> None:
    """Read a body that comes in many pieces: zeros, or what `sent` is in gzip."""
    size = 3 * N if sent is None else len(sent)
    start = 0

    async def receive() -> dict[str, Any]:
        nonlocal start
        stop = min(start + (1 << 16), size)
        piece = bytes(stop - start) if sent is None else sent[start:stop]
        start = stop
        return {"type": "http.request", "body": piece, "more_body": stop < size}

    headers = [] if sent is None else [(b"content-encoding", b"gzip")]
    scope = {"method": "POST", "path": "/", "query_string": b"", "headers": headers}
    request = Request(scope, receive, ResponseBudget(max_bytes=N))
    body = await request.body(BodyBudget(max_bytes=4 * N, max_bytes_together=8 * N))
    assert len(body) == 3 * N


def _zipped(level: int) -> bytes:
    """Return 3 N bytes in gzip, which shrink to about a tenth, or not at all."""
    text = b"".join(b"[%d,0,0,0,0,0,0,0,0],\n" % i for i in range(3 * N // 20))
    return gzip.compress(text.ljust(3 * N, b" ")[: 3 * N], level)


def cases() -> Iterator[Growth]:
    """Yield bodies of 16 MiB or so, of every format."""
    yield from _jsons()
    yield from _tables()
    if is_installed():
        yield from _parquets()
    yield from _binaries()
    yield from _images()
    yield Growth(
        "a body in pieces", bytes, lambda _: asyncio.run(_collected()), decoded=3 * N
    )
    for name, level in (("dense", 1), ("not compressed", 0)):
        yield Growth(
            f"a gzip body in pieces, {name}",
            partial(_zipped, level),
            lambda body: asyncio.run(_collected(body)),
            decoded=6 * N,  # what comes is kept until all of it is decompressed
        )


def _tables() -> Iterator[Growth]:
    def read(body: Body) -> Any:
        return csv_reader.read(body, TABLE, Event())

    decoded = N // 8 * 4 * TABLE.dim
    yield Growth("CSV, zeros", lambda: _lines(b"0,0,0,0\n"), read, decoded)
    yield Growth("CSV, with signs", lambda: _lines(b"+1,0,0,0\n"), read, decoded)
    yield Growth("CSV, quoted", lambda: _lines(b'"0",0,0,0\n'), read, decoded)
    # Cell by cell, which takes long.
    few = b"a,b,c,d\n" + b'"0 ",0,0,0\n' * (N // 128)
    yield Growth("CSV, quoted spaces", lambda: few, read, N // 128 * 4 * TABLE.dim)
    for text in (b"0,", b",", b"\n", b'"', b'"",', b'""\n', b"a", b"0", b"\r", b'"\n'):
        yield Growth(f"CSV, {text!r}", partial(_lines, text), read)
        yield Growth(f"CSV, a header of {text!r}", partial(_lines, text, b""), read)


def _parquets() -> Iterator[Growth]:
    import pyarrow  # noqa: PLC0415  an extra

    n = 1 << 14

    def long() -> Any:
        return [f"{i:{N // n}d}" for i in range(n)]

    def one() -> Any:
        zeros = pyarrow.array(np.zeros(n, np.int32))
        return pyarrow.DictionaryArray.from_arrays(zeros, ["a" * N])

    def decoded(layout: Layout, body: bytes) -> int:
        return _measured_parquet(layout, body).n_bytes + 8 * n

    for name, layout, values, options in (
        ("numbers", NUMBERS, partial(np.arange, float(n)), {}),
        ("zeros", NUMBERS, partial(np.zeros, n), {}),
        ("words", WORDS, long, {"compression": "none"}),
        ("words in pages", WORDS, long, {"use_dictionary": False}),
        ("one word", WORDS, one, {"compression": "none"}),
    ):
        yield Growth(
            f"Parquet, {name}",
            partial(_parquet, values, **options),
            partial(_read_parquet, layout),
            partial(decoded, layout),
        )


def _parquet(values: Callable[[], Any], **options: Any) -> bytes:
    import pyarrow  # noqa: PLC0415  an extra
    from pyarrow import parquet  # noqa: PLC0415

    file = io.BytesIO()
    parquet.write_table(pyarrow.table({"a": values()}), file, **options)
    return file.getvalue()


def _measured_parquet(layout: Layout, body: Body) -> parquet_reader.ParquetFile:
    limits = parquet_reader.UnpackedLimits(8 * N, 8 * N)
    return parquet_reader.measure(body, layout, limits, Event())


def _read_parquet(layout: Layout, body: Body) -> Any:
    return _measured_parquet(layout, body).read(layout, Event())


def _lines(text: bytes, header: bytes = b"a,b,c,d\n") -> bytes:
    return header + text * (N // len(text))


def _jsons() -> Iterator[Growth]:
    rows, wide = _json(ROWS), _json(WIDE)
    n_rows = N // (2 * ROWS.dim)
    yield Growth(
        "JSON, rows of 0", lambda: _several(b"0", n_rows), rows, n_rows * ROWS.dim * 4
    )
    yield Growth("JSON, one row of 0", lambda: _row(b"0", WIDE.dim), wide, WIDE.dim * 4)
    long = b"0.1234567890123456"
    yield Growth("JSON, one row", lambda: _row(long, WIDE.dim), wide, WIDE.dim * 4)
    yield Growth("JSON, spaces", lambda: b'{"x":[[1' + b" " * N + b"]]}", rows)
    yield Growth("JSON, a number", lambda: b'{"x":[[' + b"1" * N + b"]]}", rows)
    yield Growth("JSON, a string", lambda: b'{"x":[["' + b"a" * N + b'"]]}', rows)
    yield Growth("JSON, a name", lambda: b'{"' + b"x" * N + b'":[[]]}', rows)
    for text in (b"[],", b"[[],", b'{"":0},', b'"",', b"null,", b"0,", b"[0],"):
        name = f"JSON, {text.decode()}"
        size = 500_000  # of what is read whole, or explained
        yield Growth(name, partial(_list, text, size // 4), rows)
        yield Growth(f"{name} long", partial(_list, text, N), rows)
        images = partial(_list, text, size * 2, b'{"x_png":["",')
        yield Growth(f"{name} images", images, rows)
    yield Growth("masked JSON", lambda: _two(b"1"), _masked(WIDE), WIDE.dim * 5)


def _binaries() -> Iterator[Growth]:
    n = N // (4 * ROWS.dim)
    for dtype, decoded_bytes in (("f2", 4), ("f4", 0), ("f8", 4)):
        size = n * ROWS.dim * decoded_bytes
        for name, value in (("", 1.0), (" of NaN", np.nan)):
            values = partial(np.full, (n, ROWS.dim), value, dtype)
            yield Growth(
                f"npy {dtype}{name}",
                partial(lambda values: _npy(values()), values),
                lambda body: npy.read(body, ROWS),
                size,
            )
            yield Growth(
                f"safetensors {dtype}{name}",
                partial(lambda values: save({"x": values()}), values),
                lambda body: safetensors.read(body, ROWS),
                size,
            )
    for dtype in ("f4", "u1", "?"):
        yield Growth(
            f"masked safetensors {dtype}",
            partial(_masked_nan, dtype),
            _masked_tensors(WIDE),
            4 * WIDE.dim * 5,
        )


def _masked_nan(dtype: str) -> bytes:
    x = np.full((4, WIDE.dim), np.nan, np.float32)
    return save({"x": x, "mask": np.zeros_like(x, dtype)})


def _images() -> Iterator[Growth]:
    jpeg, png = _image(JPEG), _image(PNG)
    one = saved(Image.new("L", (28, 28)), "JPEG")
    table = b"\xff\xe0\xff\xff" + bytes(65_533)
    exif = b"\xff\xe1\xff\xffExif\0\0" + bytes(65_527)
    for name, body in {
        "comments": lambda: _segments(b"\xff\xfe"),
        "tables": lambda: one[:2] + table * (N // len(table)) + one[2:],
        "Exif": lambda: one[:2] + exif * (N // len(exif)) + one[2:],
        "fill": lambda: b"\xff\xd8" + b"\xff" * N,
        "a tail": lambda: one + b"\xff" * N,
    }.items():
        yield Growth(f"JPEG, {name}", body, jpeg)
    for name, body in {
        "texts": lambda: _png(chunk(b"tEXt") * (N // 12)),
        "empty data": lambda: _png(chunk(b"IDAT") * (N // 12)),
        "a palette": lambda: _png(chunk(b"PLTE", bytes(N))),
        "transparency": lambda: _png(chunk(b"tRNS", bytes(N))),
        "Exif": lambda: _png(chunk(b"eXIf", bytes(N))),
        "an end": lambda: (
            saved(Image.new("L", (28, 28)))[:-12] + chunk(b"IEND", bytes(N))
        ),
        "a column": lambda: (
            SIGNATURE
            + header(1, 1 << 24, color=2)
            + chunk(b"IDAT", zlib.compress(bytes(1 << 26), 1))
            + chunk(b"IEND")
        ),
    }.items():
        yield Growth(f"PNG, {name}", body, png)
    pixels = SIDE * SIDE
    yield Growth("PNG, noise", _noise, _image(PNG, RGB), 4 * pixels)
    yield Growth("PNG, gray of RGB", _picture("PNG", "RGB"), png, 5 * pixels)
    yield Growth("PNG, RGB of RGBA", _picture("PNG", "RGBA"), png, 8 * pixels)
    progressive = _picture("JPEG", "RGB", progressive=True, subsampling=0)
    yield Growth("JPEG, progressive", progressive, jpeg, 10 * pixels)


def measured(case: Growth) -> dict[str, Any]:
    """Return by how many bytes a process grows that reads a body, and what came."""
    body = case.body()
    with suppress(
        OSError, AttributeError
    ):  # what making it took is no room for reading
        ctypes.CDLL(None).malloc_trim(0)
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(sender, json.dumps(_grown(case, body)).encode())
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as receiving:
        line = receiving.read()
    os.waitpid(child, 0)
    decoded = case.decoded if isinstance(case.decoded, int) else case.decoded(body)
    return {"name": case.name, "allowed": decoded, **json.loads(line)}


def _grown(case: Growth, body: bytes) -> dict[str, Any]:
    _warm()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    before = pages * resource.getpagesize()
    outcome = "read"
    try:
        case.read(body)
    except ProblemError as problem:
        outcome = str(problem.status.value)
    except ImagesInsteadError:
        outcome = "images"
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"grown": after - before, "outcome": outcome}


def _warm() -> None:
    """Have every library's pages in memory."""
    gray = Image.new("L", (40, 40))
    for format_, kind in ((PNG, "PNG"), (JPEG, "JPEG")):
        _image(format_)(saved(gray, kind))
        _image(format_, RGB)(saved(gray.convert("RGB"), kind))
    _json(ROWS)(_several(b"0.5", 2))
    _masked_tensors(ROWS)(
        save({n: np.ones((1, ROWS.dim), "f4") for n in ("x", "mask")})
    )
    npy.read(_npy(np.ones((1, ROWS.dim))), ROWS)
    if is_installed():
        _read_parquet(NUMBERS, _parquet(lambda: [0.5]))
        _read_parquet(WORDS, _parquet(lambda: ["b"]))


def main() -> None:
    """Print a line of JSON for each body."""
    _warm()  # so that it takes little time in every process
    for case in cases():
        print(json.dumps(measured(case)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
