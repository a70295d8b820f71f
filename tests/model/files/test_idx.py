"""The IDX format: read exactly, and refused when it is not what it says."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from model.files import DataError, idx, read

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
CONTENT = struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 3, 4) + IMAGES.tobytes()


def test_an_array_is_read_with_its_shape() -> None:
    """Sizes are big-endian, the last axis varies fastest."""
    np.testing.assert_array_equal(idx.parse(CONTENT, file="f"), IMAGES)


@pytest.mark.parametrize("content", [b"", b"\0\0", b"\0\0\x0d\1", b"\x1f\x8b\x08\x00"])
def test_a_wrong_magic_number_is_refused(content: bytes) -> None:
    """Empty content, floats and gzip are not IDX files of unsigned bytes."""
    with pytest.raises(DataError, match=r"f is not an IDX file of unsigned bytes"):
        idx.parse(content, file="f")


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"\0", CONTENT[:16]])
def test_a_wrong_length_is_refused(content: bytes) -> None:
    """One byte too few or too many is an error that gives both numbers."""
    with pytest.raises(DataError) as caught:
        idx.parse(content, file="f")

    assert "promises (2, 3, 4), 24 bytes" in str(caught.value)
    assert f"but {len(content) - 16} follow" in str(caught.value)


def test_a_header_cut_off_is_refused() -> None:
    """A file that ends within its sizes is an error, not an exception of NumPy."""
    with pytest.raises(DataError, match=r"header is cut off after 10 bytes"):
        idx.parse(CONTENT[:10], file="f")


def test_gzip_is_known_by_content_not_by_name(tmp_path: Path) -> None:
    """Compressed or not, with any name, the content is the same."""
    (tmp_path / "plain.gz").write_bytes(CONTENT)
    (tmp_path / "zipped").write_bytes(gzip.compress(CONTENT))

    assert idx.read(tmp_path / "plain.gz") == CONTENT
    assert idx.read(tmp_path / "zipped") == CONTENT


@pytest.mark.parametrize("damage", ["cut", "flip", "missing"])
def test_files_that_cannot_be_read_are_refused(tmp_path: Path, damage: str) -> None:
    """A truncated, damaged or missing gzip file is an error that names it."""
    path = tmp_path / "train.gz"
    zipped = bytearray(gzip.compress(CONTENT))
    if damage == "flip":
        zipped[-6] ^= 0xFF  # within the CRC
    if damage != "missing":
        path.write_bytes(zipped[:-12] if damage == "cut" else zipped)

    with pytest.raises(DataError, match=r"train.gz cannot be read"):
        idx.read(path)


def test_a_gzip_bomb_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content beyond the limit is refused, content at the limit is not."""
    monkeypatch.setattr(idx, "MAX_BYTES", 1000)
    (tmp_path / "full").write_bytes(gzip.compress(bytes(1000)))
    (tmp_path / "bomb").write_bytes(gzip.compress(bytes(1001)))

    assert len(idx.read(tmp_path / "full")) == 1000
    with pytest.raises(DataError, match=r"bomb holds more than 1000 bytes"):
        idx.read(tmp_path / "bomb")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dot", ["-", "."])
def test_a_file_is_read_by_its_path_with_the_labels_beside_it(
    tmp_path: Path, zipped: bool, dot: str
) -> None:
    """As the files of MNIST and its kin are named."""
    labels = struct.pack(">BBBBI", 0, 0, 8, 1, 2) + bytes([7, 3])
    for name, content in ((f"images{dot}idx3", CONTENT), (f"labels{dot}idx1", labels)):
        path = tmp_path / f"train-{name}-ubyte{'.gz' if zipped else ''}"
        path.write_bytes(gzip.compress(content) if zipped else content)
    path = tmp_path / f"train-images{dot}idx3-ubyte{'.gz' if zipped else ''}"

    contents = read(path)

    np.testing.assert_array_equal(contents.rows.values, IMAGES)
    assert contents.rows.labels is not None
    assert contents.rows.labels.tolist() == [7, 3]


def test_a_file_without_labels_is_read_too(tmp_path: Path) -> None:
    """Labels are never needed."""
    (tmp_path / "shapes.idx").write_bytes(CONTENT)

    contents = read(tmp_path / "shapes.idx")

    np.testing.assert_array_equal(contents.rows.values, IMAGES)
    assert contents.rows.labels is None
