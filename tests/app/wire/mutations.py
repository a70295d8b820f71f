"""Bodies that were right once: every format that is read, and what may befall it."""

import io
import json
import re
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save

from tests.app.pictures import SIGNATURE, chunk, png, saved

JSON = "application/json"
SAFETENSORS = "application/vnd.safetensors"
MAX = 1 << 32
_WORD = re.compile(rb"[\w.+<|-]+|[\[\]{}()]")
_LONG = 1 << 14  # a text whose words are not counted, but found from a place on
# What a field of a header, or a value of JSON, is replaced by.
WORDS = (
    *(b"0", b"1", b"-1", b"3", b"16", b"255", b"1e999", b"-1e400", b"1e39", b"NaN"),
    *(b"4294967296", b"18446744073709551615", b"9" * 400, b"0.5", b"-0.0", b"1e-400"),
    *(b"null", b"true", b"[]", b"{}", b"[[[]]]", b'"', b'"x"', b'"\\ud800"', b"'<f4'"),
    *(b"F16", b"F64", b"I64", b"U8", b"BOOL", b"<f8", b"|O", b"<c8", b"True", b"x"),
    *(b"[" * 2000, b'{"x":' * 500, b"\xff", b"\x00", b"", b"x_png", b"mask", b"seed"),
)
SIZES = (0, 1, 2, 7, 8, 255, 256, 65_535, 1 << 24, (1 << 31) - 1, 1 << 31, MAX - 1)


class Case(NamedTuple):
    """
    A right body.

    Attributes:
        is_masked: Whether x comes with a mask.
    """

    name: str
    media_type: str
    body: bytes
    query: bytes = b""
    is_masked: bool = False


def cases(shape: tuple[int, ...]) -> tuple[Case, ...]:
    """Return right bodies of every format for images, (H, W) or (H, W, C)."""
    return (*_arrays(shape), *_jsons(shape), *_pngs(shape), *_jpegs(shape))


def _arrays(shape: tuple[int, ...]) -> Iterator[Case]:
    rng = np.random.default_rng(1)
    for dtype in (np.float32, np.float64, np.float16):
        shaped = rng.random((3, *shape)).astype(dtype)
        for x in (shaped, shaped.reshape(3, -1)):
            yield Case("safetensors", SAFETENSORS, save({"x": x}))
            for version in ((1, 0), (2, 0)):
                file = io.BytesIO()
                np.lib.format.write_array(file, x, version=version)
                yield Case("npy", "application/x-npy", file.getvalue())
    x = rng.random((2, *shape), dtype=np.float32)
    for kind in (np.bool_, np.uint8, np.float32):
        mask = (x > 0.5).astype(kind)
        body = save({"x": x, "mask": mask})
        yield Case("masked", SAFETENSORS, body, is_masked=True)


def _jsons(shape: tuple[int, ...]) -> Iterator[Case]:
    rng = np.random.default_rng(2)
    x = rng.random((2, *shape)).round(3)
    mask = (x > 0.5).astype(int)
    for rows, flags in ((x, mask), (x.reshape(2, -1), mask.reshape(2, -1))):
        document = {"x": rows.tolist(), "seed": 3}
        yield Case("JSON", JSON, json.dumps(document).encode())
        document = {"mask": flags.tolist(), "seed": 3, "x": rows.tolist()}
        yield Case("masked", JSON, json.dumps(document).encode(), is_masked=True)
    image = b64encode(png(rng.integers(0, 256, shape))).decode()
    url = f"data:image/png;base64,{image}"
    yield Case("JSON", JSON, json.dumps({"x_png": [url, url]}).encode())


def _images(shape: tuple[int, ...]) -> Iterator[tuple[Image.Image, bytes]]:
    """Yield images of the size, and of another with the query that has it resized."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, shape).astype(np.uint8)
    yield Image.fromarray(pixels), b""
    larger = rng.integers(0, 256, (9, 11, *shape[2:])).astype(np.uint8)
    yield Image.fromarray(larger), b"resize=true"


def _pngs(shape: tuple[int, ...]) -> Iterator[Case]:
    for image, query in _images(shape):
        modes = ("L", "1", "LA", "P") if len(shape) == 2 else ("RGB", "RGBA", "P", "L")
        for mode in modes:
            file = saved(image.convert(mode))
            yield Case("PNG", "image/png", file, query)
        exif = Image.Exif()
        exif[0x0112] = 3
        yield Case("PNG", "image/png", saved(image, exif=exif), query)


def _jpegs(shape: tuple[int, ...]) -> Iterator[Case]:
    exif = Image.Exif()
    exif[0x0112] = 3
    for image, query in _images(shape):
        for options in ({}, {"progressive": True}, {"exif": exif, "comment": b"a"}):
            yield Case("JPEG", "image/jpeg", saved(image, "JPEG", **options), query)


# A mutation takes a body and two numbers from 0 to 2^32 - 1 that say where and what.
Mutation = Callable[[bytes, int, int], bytes]


def _flip(body: bytes, where: int, what: int) -> bytes:
    at = where % max(1, len(body))
    return (
        body[:at] + bytes(b ^ 1 << what % 8 for b in body[at : at + 1]) + body[at + 1 :]
    )


def _truncate(body: bytes, where: int, _: int) -> bytes:
    return body[: where % (len(body) + 1)]


def _extend(body: bytes, where: int, what: int) -> bytes:
    return body + bytes([what % 256]) * (where % 300)


def _length(body: bytes, where: int, what: int) -> bytes:
    """Put a size, which may be absurd, where one may be: mostly near the start."""
    at = where % (min(len(body), 64) + 1) if where % 4 else where % (len(body) + 1)
    size = SIZES[what % len(SIZES)]
    layout = ("<Q", "<I", ">I", "<H", ">H", "<B")[what // 16 % 6]
    limit = 1 << 8 * struct.calcsize(layout)
    return (
        body[:at]
        + struct.pack(layout, size % limit)
        + body[at + struct.calcsize(layout) :]
    )


def _cut(body: bytes, where: int, what: int) -> bytes:
    at = where % (len(body) + 1)
    return body[:at] + body[at + what % 40 :]


def _repeat(body: bytes, where: int, what: int) -> bytes:
    at = where % (len(body) + 1)
    return body[: at + what % 200] + body[at:]


def _move(body: bytes, where: int, what: int) -> bytes:
    """Copy a piece of a body over another."""
    source, size = what % (len(body) + 1), what // 7 % 64
    at = where % (len(body) + 1)
    piece = body[source : source + size]
    return body[:at] + piece + body[at + len(piece) :]


def _word(body: bytes, where: int, what: int) -> bytes:
    """Replace a word of a text; in a binary format one of its header, kept sound."""
    word = WORDS[what % len(WORDS)]
    if body[:8] == SIGNATURE:
        return _png_chunk(body, where, what)
    if body[:6] == b"\x93NUMPY" and len(body) > 12:
        start = 10 if body[6] == 1 else 12
        end = start + int.from_bytes(body[8:start], "little")
        text = _replaced(body[start:end], where, word)
        size = len(text).to_bytes(8, "little")[: start - 8]
        return body[:8] + size + text + body[end:]
    end = 8 + int.from_bytes(body[:8], "little")
    if end <= len(body):
        text = _replaced(body[8:end], where, word)
        return len(text).to_bytes(8, "little") + text + body[end:]
    return _replaced(body, where, word)


def _replaced(text: bytes, where: int, word: bytes) -> bytes:
    if len(text) > _LONG:
        found = _WORD.search(text, where % len(text))
    else:
        words = list(_WORD.finditer(text))
        found = words[where % len(words)] if words else None
    if found is None:
        return word
    return text[: found.start()] + word + text[found.end() :]


def _png_chunk(body: bytes, where: int, what: int) -> bytes:
    """Change a byte of a chunk, or drop, repeat or add one; its checksum is right."""
    chunks, at = [], 8
    while at + 12 <= len(body):
        size = int.from_bytes(body[at : at + 4], "big")
        chunks.append((body[at + 4 : at + 8], body[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return body
    i = where % len(chunks)
    kind, content = chunks[i]
    match what % 5:
        case 0:
            del chunks[i]
        case 1:
            chunks.insert(i, chunks[i])
        case 2:
            kinds = (b"tRNS", b"PLTE", b"acTL", b"eXIf", b"zTXt", b"gAMA", b"IDAT")
            extra = zlib.compress(bytes(what % 5000)) if what % 3 else bytes(what % 99)
            chunks.insert(i, (kinds[what // 5 % len(kinds)], extra))
        case _:
            chunks[i] = (kind, _flip(content, where // len(chunks), what // 5))
    return SIGNATURE + b"".join(chunk(*one) for one in chunks)


MUTATIONS: Sequence[Mutation] = (
    *(_flip, _truncate, _extend, _length, _cut, _repeat, _move, _word, _word),
)

_NUMBERS = st.integers(0, MAX - 1)
_CHANGES = st.lists(
    st.tuples(st.sampled_from(MUTATIONS), _NUMBERS, _NUMBERS), min_size=1, max_size=4
)


def mutated(originals: Sequence[Case]) -> st.SearchStrategy[Case]:
    """Return a strategy for cases with bodies that some mutations have changed."""

    def changed(
        case: Case, changes: list[tuple[Mutation, int, int]], other: Case | None
    ) -> Case:
        body = case.body
        for mutation, where, what in changes:
            body = mutation(body, where, what)
        if other is not None:  # the head of one body and the tail of another
            _, where, what = changes[0]
            at = where % (len(body) + 1)
            body = body[:at] + other.body[what % (len(other.body) + 1) :]
        return case._replace(body=body)

    one = st.sampled_from(originals)
    mostly_none = st.one_of(st.none(), st.none(), st.none(), one)
    return st.builds(changed, one, _CHANGES, mostly_none)
