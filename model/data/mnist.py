"""MNIST and Fashion-MNIST: four IDX files each, verified by their checksums."""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import final

from model.data import download
from model.data.dataset import Split, split_of
from model.data.splits import Parts
from model.data_config import PIXELS
from model.files import DataError, Origin, idx
from model.raw_values import RawValues

_BYTES = RawValues(255.0, PIXELS, (0.0, 1.0))

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"


@final
@dataclass(frozen=True)
class IdxFiles:
    """
    A data set in the format of MNIST.

    Attributes:
        title: The full name, with the authors.
        mirrors: URLs of folders with the gzip files, each ending in a slash.
        md5: Of the uncompressed content, by file: gzip files of one content differ.
        n_validation: How many of the last training images are for validation.
    """

    name: str
    title: str
    mirrors: tuple[str, ...]
    md5: Mapping[str, str]
    n_validation: int


MNIST = IdxFiles(
    name="mnist",
    title="MNIST (LeCun, Cortes and Burges)",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    md5={
        TRAIN_IMAGES: "6bbc9ace898e44ae57da46a324031adb",
        TRAIN_LABELS: "a25bea736e30d166cdddb491f175f624",
        TEST_IMAGES: "2646ac647ad5339dbf082846283269ea",
        TEST_LABELS: "27ae3e4e09519cfbb04c329615203637",
    },
    n_validation=10_000,
)

FASHION_MNIST = IdxFiles(
    name="fashion-mnist",
    title="Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017)",
    mirrors=(
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    md5={
        TRAIN_IMAGES: "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        TRAIN_LABELS: "9018921c3c673c538a1fc5bad174d6f9",
        TEST_IMAGES: "8181f5470baa50b63fa0f6fddb340f0a",
        TEST_LABELS: "15d484375f8d13e6eb1aabb0c3f46965",
    },
    n_validation=10_000,
)


def cache_directory(files: IdxFiles, environ: Mapping[str, str]) -> Path:
    """Return where downloads of a data set are kept between runs."""
    cache = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "vae-service" / files.name


def read(
    files: IdxFiles, *, data_dir: Path | None, validation_fraction: float | None
) -> Parts:
    """
    Read the four files from a folder, or from a cache that is filled by download.

    Validation rows are the last training images: by convention `n_validation` of them,
    or a fraction.

    Raises:
        DataError: A file is missing, damaged or not the one its name says, or it
            could not be downloaded.
    """
    train, data_shape = _split(files, TRAIN_IMAGES, TRAIN_LABELS, data_dir)
    test, _ = _split(files, TEST_IMAGES, TEST_LABELS, data_dir)
    n = len(train.x)
    n_validation = files.n_validation
    if validation_fraction is not None:
        n_validation = min(max(1, round(validation_fraction * n)), n - 1)
    return Parts(
        name=files.name,
        rows=train.take(slice(0, n - n_validation)),
        validation=train.take(slice(n - n_validation, n)),
        test=test,
        data_shape=data_shape,
        raw=_BYTES,
        source=f"{files.title}, IDX files with their well-known MD5 sums; validation"
        f" is the last {n_validation} training images, test the {len(test.x)} test"
        " images",
    )


def _split(
    files: IdxFiles, images: str, labels: str, data_dir: Path | None
) -> tuple[Split, tuple[int, ...]]:
    x = idx.parse(_content(files, images, data_dir), file=images)
    split = split_of(
        x,
        labels=idx.parse(_content(files, labels, data_dir), file=labels),
        origin=Origin(images, unit="image"),
        raw=_BYTES,
    )
    return split, x.shape[1:]


def _content(files: IdxFiles, file: str, data_dir: Path | None) -> bytes:
    md5 = files.md5[file]
    if data_dir is not None:
        return _read_verified(_find(data_dir, file), md5)
    directory = cache_directory(files, os.environ)
    with suppress(DataError):  # missing or damaged: download it
        return _read_verified(directory / f"{file}.gz", md5)
    path = download.fetch(
        f"{file}.gz",
        mirrors=files.mirrors,
        directory=directory,
        verify=lambda partial: _read_verified(partial, md5),
    )
    return _read_verified(path, md5)


def _find(data_dir: Path, file: str) -> Path:
    for path in (data_dir / file, data_dir / f"{file}.gz"):
        if path.is_file():
            return path
    raise DataError(f"{data_dir} holds neither {file} nor {file}.gz")


def _read_verified(path: Path, md5: str) -> bytes:
    content = idx.read(path)
    got = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if got != md5:
        raise DataError(
            f"{path} has the wrong checksum: expected uncompressed content with MD5"
            f" {md5}, got {got}"
        )
    return content
