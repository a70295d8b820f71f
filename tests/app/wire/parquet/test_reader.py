"""Parquet that lies is refused before it is unpacked, and what is read is small."""

import io
import random
import struct
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from app.errors import ContentTooLargeError, ProblemError, UnprocessableError
from app.http import tables
from app.wire.layout import Layout
from app.wire.negotiation import CSV
from app.wire.parquet import footer, layout, pages, reader
from app.wire.parquet.thrift import BINARY, I32, I64, LIST, STRUCT, Item, Items
from model.tables.schema import TableColumn, TableSchema
from tests.app.wire.parquet import files
from tests.app.wire.parquet.files import dictionary, levels, page

LIMIT = 1 << 23
LIMITS = reader.UnpackedLimits(LIMIT, LIMIT)
NUMBERS = Layout("x", (1,), 16_384, columns=("a",), may_be_missing=True)
SCHEMA = TableSchema(
    columns=(TableColumn(name="a", kind="categorical", categories=("rose", "aster")),)
)
WORDS = Layout(
    "x",
    (1,),
    16_384,
    dtype=np.float64,
    columns=("a",),
    may_be_missing=True,
    schema=SCHEMA,
)
TEXT = {1: Item(I32, layout.BYTE_ARRAY), 6: Item(I32, layout.UTF8)}
THREE = levels(3) + struct.pack("<3d", 1, 2, 3)
WRITTEN = Path(__file__).parents[3] / "model" / "files" / "written" / "pandas.parquet"
TIMES_DEEP = 40


def measured(body: bytes, wanted: Layout = NUMBERS) -> reader.ParquetFile:
    """Measure a body, as before it is unpacked."""
    return reader.measure(body, wanted, LIMITS, Event())


def read(body: bytes, wanted: Layout = NUMBERS) -> list[float]:
    """Return the only column of a body."""
    pytest.importorskip("pyarrow")
    rows = measured(body, wanted).read(wanted, Event())
    values: list[float] = rows.values[:, 0].tolist()
    return values


def changed(pages: Sequence[bytes], **change: Any) -> bytes:
    """Return a file of three rows with fields of its footer replaced."""
    return files.file(pages, 3, **change)


def refusal(body: bytes, wanted: Layout = NUMBERS) -> str:
    """Return why a body is refused before it is unpacked."""
    with pytest.raises(ProblemError) as refused:
        measured(body, wanted)
    return f"{refused.value.status.value} {refused.value.detail}"


def test_a_file_of_another_writer_is_understood() -> None:
    """Columns, types and rows, without pyarrow."""
    found = footer.read(WRITTEN.read_bytes())

    assert found.n_rows > 0
    assert {column.what for column in found.columns} <= {"number", "text", "truth"}
    groups = found.groups_of(found.columns)
    walk = pages.PageWalk(WRITTEN.read_bytes(), LIMIT, Event())
    assert sum(group.n_rows for group in walk.measure(groups)) == found.n_rows
    assert walk.n_bytes > 0


def test_a_file_written_by_hand_is_read() -> None:
    """So what the other tests change is what is refused."""
    body = files.file([page(THREE, 3)], 3)

    assert measured(body).n_bytes == len(THREE) + 3
    assert read(body) == [1, 2, 3]
    assert read(files.file([page(THREE, 3)], 3, n_groups=2)) == [1, 2, 3] * 2


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"whole": {3: Item(I64, 4)}}, "422 expected an intact"),
        ({"whole": {3: Item(I64, 1)}}, "422 expected an intact"),
        ({"whole": {3: Item(I64, 2**40)}}, "413 expected at most 16384 rows"),
        ({"whole": {3: Item(I64, -1)}}, "422 expected an intact"),
        ({"whole": {3: Item(I64, 0)}}, "422 /x: expected [N, 1], got no rows"),
        ({"whole": {2: Item(LIST, Items(STRUCT, []))}}, "422 expected an intact"),
        ({"whole": {8: Item(STRUCT, {})}}, "that is not encrypted"),
        ({"about": {5: Item(I64, 2)}}, "422 expected an intact"),
        ({"about": {5: Item(I64, 2**40)}}, "422 expected an intact"),
        ({"about": {7: Item(I64, 2**40)}}, "422 expected an intact"),
        ({"about": {7: Item(I64, 20)}}, "422 expected an intact"),
        ({"about": {7: Item(I64, -1)}}, "422 expected an intact"),
        ({"about": {9: Item(I64, 0)}}, "422 expected an intact"),
        ({"about": {9: Item(I64, 2**62)}}, "422 expected an intact"),
        ({"about": {9: Item(I64, -4)}}, "422 expected an intact"),
        ({"about": {1: Item(I32, layout.INT64)}}, "422 expected an intact"),
        ({"about": {4: Item(I32, 3)}}, "422 expected a codec"),
        ({"about": {4: Item(I32, 5)}}, "422 expected a codec"),
        ({"about": {4: Item(I32, 99)}}, "422 expected a codec"),
        ({"chunk": {1: Item(BINARY, b"/etc/passwd")}}, "422 expected one whole"),
        ({"chunk": {8: Item(STRUCT, {})}}, "that is not encrypted"),
        ({"leaf": {5: Item(I32, 1)}}, "one with lists or parts"),
        ({"leaf": {3: Item(I32, 2)}}, "one with lists or parts"),
        ({"leaf": {3: None}}, "one with lists or parts"),
        ({"leaf": {1: None}}, "422 expected an intact"),
        ({"leaf": {1: Item(I32, 3)}}, "a: expected numbers, texts or truth values"),
        ({"leaf": {1: Item(I32, layout.FIXED), 2: Item(I32, 2**31 - 1)}}, "bytes"),
        ({"leaf": {4: Item(BINARY, b"\xff")}}, "422 expected an intact"),
        ({"leaf": {4: Item(BINARY, b"b")}}, "got none for a"),
    ],
)
def test_a_footer_is_not_believed(change: dict[str, Any], why: str) -> None:
    """Numbers of rows and values, places, types, codecs, files elsewhere."""
    assert why in refusal(files.file([page(THREE, 3)], 3, **change))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"unpacked": 2**31 - 1}, "422 expected an intact"),
        ({"unpacked": -1}, "422 expected an intact"),
        ({"packed": 2**31 - 1}, "422 expected an intact"),
        ({"packed": -40}, "422 expected an intact"),
        ({"n": 4}, "422 expected an intact"),
        ({"n": 2**31 - 1}, "422 expected an intact"),
        ({"n": -3}, "422 expected an intact"),
        ({"n": 2}, "422 expected an intact"),
        ({"kind": 1}, "422 expected an intact"),
        ({"kind": layout.DICTIONARY_PAGE}, "422 expected an intact"),
        ({"kind": layout.DATA_PAGE_V2}, "422 expected an intact"),
        ({"kind": 9}, "422 expected an intact"),
        ({"encoding": 7}, "got another encoding"),  # shares beginnings of words
        ({"encoding": 4}, "got another encoding"),
    ],
)
def test_a_page_is_not_believed(said: dict[str, int], why: str) -> None:
    """Sizes, numbers of values, kinds and encodings."""
    assert why in refusal(files.file([page(THREE, **{"n": 3, **said})], 3))


@pytest.mark.parametrize("codec", layout.CODECS[1:])
def test_a_page_that_unpacks_to_much_is_refused_unseen(codec: int) -> None:
    """Of any codec: what it says is what it may take, and it is over the limit."""
    bomb = page(zlib.compress(bytes(1 << 16), 9), 3, unpacked=LIMIT)
    change = {"about": {4: Item(I32, codec)}}

    assert f"413 expected cells and pages of at most {LIMIT - 3}" in refusal(
        changed([bomb], **change)
    )
    half = page(b"", 1, unpacked=LIMIT // 2)
    assert "413" in refusal(changed([half, half, half], **change))


def test_a_page_that_says_less_than_it_unpacks_to_is_damaged() -> None:
    """A codec gets a buffer of what the page said."""
    pytest.importorskip("pyarrow")
    gzip = zlib.compressobj(9, wbits=31)
    content = gzip.compress(bytes(1 << 22)) + gzip.flush()
    bomb = files.file([page(content, 3, unpacked=64)], 3, about={4: Item(I32, 2)})

    with pytest.raises(UnprocessableError, match="a damaged or truncated one"):
        read(bomb)


def test_a_dictionary_has_no_more_words_than_bytes_for_them() -> None:
    """Readers allocate memory for as many as it says; it comes first, and once."""
    words = struct.pack("<i4si5s", 4, b"rose", 5, b"aster")
    one = page(levels(3) + b"\x01\x03\x03", 3, encoding=layout.RLE_DICTIONARY)

    said = [2**31 - 1, -1, 5]
    for n in said:
        lie = files.file([dictionary(words, n), one], 3, leaf=TEXT)
        assert "422 expected an intact" in refusal(lie, WORDS)
    twice = files.file([dictionary(words, 2)] * 2 + [one], 3, leaf=TEXT)
    assert "422 expected an intact" in refusal(twice, WORDS)
    assert measured(files.file([dictionary(words, 2), one], 3, leaf=TEXT), WORDS)


def test_a_word_is_looked_up_and_its_index_is_checked() -> None:
    """Pyarrow itself does not check it."""
    words = struct.pack("<i4si5s", 4, b"rose", 5, b"aster")

    def of(index: int) -> bytes:
        run = levels(3) + bytes([8, 3 << 1, index])  # of 8 bits: three times the index
        data = page(run, 3, encoding=layout.RLE_DICTIONARY)
        return files.file([dictionary(words, 2), data], 3, leaf=TEXT)

    assert read(of(1), WORDS) == [1, 1, 1]
    with pytest.raises(UnprocessableError, match="damaged"):
        read(of(200), WORDS)


def test_a_long_word_that_is_repeated_is_in_memory_once() -> None:
    """A mebibyte, 16,384 times, would be 16 GiB."""
    long, n = 1 << 20, 16_384
    words = struct.pack("<i", long) + b"a" * long
    run = levels(n) + bytes([8, 0x80, 0x80, 0x02, 0])
    data = page(run, n, encoding=layout.RLE_DICTIONARY)
    body = files.file([dictionary(words, 1), data], n, leaf=TEXT)

    pytest.importorskip("pyarrow")
    rows = measured(body, WORDS).read(WORDS, Event())

    assert len(rows.values) == n
    assert "unknown category 'aaaa" in rows.unknown[0].detail
    assert len(rows.unknown[0].detail) < 200


def test_levels_that_lie_are_damaged() -> None:
    """A run of 2^31 levels, levels of other sizes, and fewer values than rows."""
    pytest.importorskip("pyarrow")
    values = struct.pack("<3d", 1, 2, 3)
    for before in (
        levels(2**30),
        b"\x04\0\0\0\xff\xff\xff\x7f",
        b"\xff\xff\xff\x7f" + levels(3)[4:],
        levels(1),
    ):
        body = files.file([page(before + values, 3)], 3)
        try:
            assert len(read(body)) == 3
        except UnprocessableError as error:
            assert "damaged" in error.detail  # noqa: PT017  either is right


def test_texts_count_with_their_copies() -> None:
    """Words are in a page, in dictionaries and in Python."""
    text = levels(1) + struct.pack("<i", LIMIT // 4) + bytes(LIMIT // 4)
    body = files.file([page(text, 1)], 1, leaf=TEXT)

    assert f"413 expected texts of at most {LIMIT // 6} bytes" in refusal(body, WORDS)


def test_cells_count_beside_pages() -> None:
    """A column of one value takes no bytes in a file, but rows in memory."""
    n = 16_384
    body = files.file([page(levels(n) + bytes(8 * n), n)], n)

    assert measured(body).n_bytes == len(levels(n)) + 9 * n
    with pytest.raises(ContentTooLargeError):
        reader.measure(body, NUMBERS, reader.UnpackedLimits(n - 1, LIMIT), Event())


def test_a_footer_has_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its bytes, its values and its depth; and a file, of its pages."""
    body = files.file([page(THREE, 3)], 3)
    deep = b"\x1c" * TIMES_DEEP + b"\0" * (TIMES_DEEP + 1)
    nested = b"PAR1" + deep + len(deep).to_bytes(4, "little") + b"PAR1"

    assert "422 expected an intact" in refusal(nested)
    with monkeypatch.context() as patched:
        patched.setattr(footer, "MAX_FOOTER_VALUES", 10)
        assert "a footer of at most 10 values" in refusal(body)
    with monkeypatch.context() as patched:
        patched.setattr(footer, "MAX_FOOTER_BYTES", 10)
        assert "a footer of at most 10 bytes" in refusal(body)
    monkeypatch.setattr(pages, "MAX_PAGES", 1)
    assert "413 expected at most 1 pages" in refusal(
        files.file([page(b"", 0), page(THREE, 3)], 3)
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"PAR1", b"PAR1PAR1", b"PAR1\xff\xff\xff\x7fPAR1", b"a,b\n1,2\n" * 9],
)
def test_other_bodies_are_refused(body: bytes) -> None:
    """As what they are: no Parquet, or damaged."""
    assert refusal(body).startswith("422 expected a")
    assert "not encrypted" in refusal(b"PARE" + bytes(20) + b"PARE")


def test_pyarrow_sees_no_footer_of_a_client() -> None:
    """It reads one that is written here, so names and texts do not reach it."""
    arrow = pytest.importorskip("pyarrow")
    body = bytearray(files.file([page(THREE, 3)], 3))
    found = measured(bytes(body))
    start = footer.read(body).start
    body[start:-8] = b"\xff" * (len(body) - 8 - start)

    rows = found._replace(body=bytes(body)).read(NUMBERS, Event())

    assert rows.values[:, 0].tolist() == [1, 2, 3]
    assert arrow.default_memory_pool().backend_name == "system"


def test_reading_ends_early_when_it_is_told() -> None:
    """The request was cancelled: no client waits for the rows."""
    pytest.importorskip("pyarrow")
    stop = Event()
    found = measured(files.file([page(THREE, 3)], 3))
    stop.set()

    assert len(found.read(NUMBERS, stop).values) == 3


@pytest.mark.parametrize("options", [{}, {"data_page_version": "2.0"}])
def test_damage_is_refused_or_changes_values(options: dict[str, str]) -> None:
    """Whatever bits flip: a 4xx, or rows; never another exception."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = io.BytesIO()
    table = arrow.table({"a": ["rose", "aster", None, "rose"] * 10})
    parquet.write_table(table, file, **options)
    generator = random.Random(0)

    n_read = 0
    for _ in range(300):
        body = bytearray(file.getvalue())
        for _ in range(generator.choice([1, 2, 8])):
            body[generator.randrange(4, len(body))] = generator.randrange(256)
        try:
            rows = measured(bytes(body), WORDS).read(WORDS, Event())
        except ProblemError as error:
            assert 400 <= error.status < 500  # noqa: PT017  either is right
        else:
            n_read += 1
            assert len(rows.values) <= WORDS.max_rows

    assert n_read > 0


def test_without_pyarrow_files_are_still_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is imported only when pages are decoded; else the format is not offered."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    assert tables.formats() == (CSV,)
    assert measured(files.file([page(THREE, 3)], 3)).n_rows == 3
