"""MNIST and Fashion-MNIST: the right files, split by convention."""

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.data import download, mnist
from model.data.mnist import (
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    IdxFiles,
)
from model.files import DataError

TRAIN = np.arange(10 * 6, dtype=np.uint8).reshape(10, 2, 3)
TEST = np.array([0, 1, 127, 128, 254, 255], dtype=np.uint8).reshape(1, 2, 3)


def encode(array: NDArray[np.uint8]) -> bytes:
    """Return an array in the IDX format."""
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()


CONTENTS = {
    TRAIN_IMAGES: encode(TRAIN),
    TRAIN_LABELS: encode(np.arange(10, dtype=np.uint8)),
    TEST_IMAGES: encode(TEST),
    TEST_LABELS: encode(np.array([7], dtype=np.uint8)),
}
TINY = IdxFiles(
    name="tiny",
    title="Tiny",
    mirrors=("http://mirror.invalid/",),
    md5={
        file: hashlib.md5(content, usedforsecurity=False).hexdigest()
        for file, content in CONTENTS.items()
    },
    n_validation=4,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the four files of TINY, half of them gzip."""
    for file, content in CONTENTS.items():
        if "labels" in file:
            (tmp_path / f"{file}.gz").write_bytes(gzip.compress(content))
        else:
            (tmp_path / file).write_bytes(content)
    return tmp_path


def test_validation_is_the_last_of_the_training_images(folder: Path) -> None:
    """Values are gray / 255, labels and rows stay with their images."""
    parts = mnist.read(TINY, data_dir=folder, validation_fraction=None)

    assert parts.validation is not None
    assert parts.test is not None
    gray = (TRAIN.reshape(10, 6) / 255).astype(np.float32)
    np.testing.assert_array_equal(parts.rows.x, gray[:6])
    np.testing.assert_array_equal(parts.validation.x, gray[6:])
    np.testing.assert_array_equal(parts.validation.rows, [6, 7, 8, 9])
    np.testing.assert_array_equal(parts.validation.labels, [6, 7, 8, 9])
    np.testing.assert_array_equal(parts.test.labels, [7])
    np.testing.assert_array_equal(parts.test.x[0] >= 0.5, TEST.ravel() >= 128)
    assert parts.data_shape == (2, 3)
    assert parts.raw.divided_by == 255.0


@pytest.mark.parametrize(("fraction", "n"), [(0.3, 3), (0.001, 1), (0.999, 9)])
def test_a_fraction_replaces_the_convention(
    folder: Path, fraction: float, n: int
) -> None:
    """At least one image validates and at least one trains."""
    parts = mnist.read(TINY, data_dir=folder, validation_fraction=fraction)

    assert parts.validation is not None
    np.testing.assert_array_equal(parts.validation.rows, np.arange(10 - n, 10))
    assert len(parts.rows.x) == 10 - n
    assert f"validation is the last {n} training images" in parts.source


def test_a_wrong_checksum_is_refused(folder: Path) -> None:
    """The error names the file, the sum wanted and the sum found."""
    changed = CONTENTS[TEST_IMAGES][:-1] + b"\0"
    (folder / TEST_IMAGES).write_bytes(changed)

    with pytest.raises(DataError) as caught:
        mnist.read(TINY, data_dir=folder, validation_fraction=None)

    message = str(caught.value)
    assert f"{folder / TEST_IMAGES} has the wrong checksum" in message
    assert TINY.md5[TEST_IMAGES] in message
    assert hashlib.md5(changed, usedforsecurity=False).hexdigest() in message


def test_a_missing_file_is_named(folder: Path) -> None:
    """A folder given by the user is never completed by a download."""
    (folder / f"{TEST_LABELS}.gz").unlink()

    with pytest.raises(DataError, match=f"holds neither {TEST_LABELS} nor"):
        mnist.read(TINY, data_dir=folder, validation_fraction=None)


def test_files_are_downloaded_once_and_damaged_ones_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache is filled on first use, trusted while it verifies, and mended."""
    asked = []

    def deliver(file: str, *, mirrors: Any, directory: Path, verify: Any) -> Path:
        asked.append(file)
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / file
        path.write_bytes(gzip.compress(CONTENTS[file.removesuffix(".gz")]))
        verify(path)
        return path

    monkeypatch.setattr(download, "fetch", deliver)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    mnist.read(TINY, data_dir=None, validation_fraction=None)
    first, asked[:] = sorted(asked), []
    damaged = tmp_path / "vae-service" / "tiny" / f"{TEST_LABELS}.gz"
    damaged.write_bytes(damaged.read_bytes()[:-5])
    mnist.read(TINY, data_dir=None, validation_fraction=None)

    assert first == sorted(f"{file}.gz" for file in CONTENTS)
    assert asked == [f"{TEST_LABELS}.gz"]


def test_the_cache_is_where_the_desktop_keeps_caches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """XDG_CACHE_HOME if it is set and not empty, else ~/.cache."""
    monkeypatch.setenv("HOME", "/home/ann")

    places = [
        mnist.cache_directory(mnist.MNIST, environ)
        for environ in ({"XDG_CACHE_HOME": "/c"}, {"XDG_CACHE_HOME": ""}, {})
    ]

    assert places == [
        Path("/c/vae-service/mnist"),
        Path("/home/ann/.cache/vae-service/mnist"),
        Path("/home/ann/.cache/vae-service/mnist"),
    ]


@pytest.mark.parametrize("files", [mnist.MNIST, mnist.FASHION_MNIST])
def test_every_file_has_a_checksum_and_every_mirror_a_slash(files: IdxFiles) -> None:
    """The four names are those of MNIST, the sums are of 32 hexadecimal digits."""
    assert set(files.md5) == set(CONTENTS)
    assert all(len(md5) == 32 and int(md5, 16) for md5 in files.md5.values())
    assert len(set(files.md5.values())) == 4
    assert all(mirror.endswith("/") for mirror in files.mirrors)
    assert len(files.mirrors) == 2
