"""Arrays of a user: read as they are, refused by file and name."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.files import Contents, DataError
from model.files.arrays import read_npy, read_npz


def npy(path: Path, array: object) -> Contents:
    """Save an array and read it back."""
    np.save(path / "x.npy", np.asarray(array))
    return read_npy(path / "x.npy")


def npz(path: Path, **arrays: object) -> Contents:
    """Save named arrays and read them back."""
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", np.asarray(array))
    with zipfile.ZipFile(path / "x.npz", "w") as archive:
        for name in arrays:
            archive.write(path / f"{name}.npy", f"{name}.npy")
    return read_npz(path / "x.npz")


def test_floats_are_left_untouched(tmp_path: Path) -> None:
    """Real-valued arrays keep their values and shape."""
    contents = npy(tmp_path, np.linspace(-300, 300, 24).reshape(2, 3, 4))

    np.testing.assert_array_equal(
        contents.rows.values.ravel(), np.linspace(-300, 300, 24)
    )
    assert contents.rows.values.shape == (2, 3, 4)
    assert contents.name == "x"


def test_object_arrays_are_refused_and_never_unpickled(tmp_path: Path) -> None:
    """A pickle inside an .npy file is an error, not code that runs."""
    np.save(tmp_path / "x.npy", np.array([[1, None]], dtype=object), allow_pickle=True)

    with pytest.raises(DataError, match=r"x.npy cannot be read as NumPy arrays"):
        read_npy(tmp_path / "x.npy")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00"])
def test_files_that_are_no_arrays_are_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, foreign and truncated files are errors that name them."""
    for name, read in (("x.npy", read_npy), ("x.npz", read_npz)):
        (tmp_path / name).write_bytes(content)

        with pytest.raises(DataError, match=f"{name} cannot be read as NumPy arrays"):
            read(tmp_path / name)


def test_a_truncated_array_is_refused(tmp_path: Path) -> None:
    """A file shorter than its header promises is an error."""
    npy(tmp_path, np.zeros((10, 10)))
    path = tmp_path / "x.npy"
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(DataError, match=r"x.npy cannot be read"):
        read_npy(path)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    """A member whose checksum fails is an error that names the file."""
    npz(tmp_path, x=np.zeros((10, 10)))
    path = tmp_path / "x.npz"
    content = bytearray(path.read_bytes())
    content[400] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"x.npz cannot be read: Bad CRC-32"):
        read_npz(path)


def test_an_extension_that_lies_is_refused(tmp_path: Path) -> None:
    """An archive named .npy and an array named .npz are told apart."""
    npz(tmp_path, x=np.zeros((2, 2)))
    (tmp_path / "x.npz").rename(tmp_path / "y.npy")
    npy(tmp_path, np.zeros((2, 2)))
    (tmp_path / "x.npy").rename(tmp_path / "y.npz")

    with pytest.raises(DataError, match=r"y.npy is an .npz archive"):
        read_npy(tmp_path / "y.npy")
    with pytest.raises(DataError, match=r"y.npz is not an .npz archive"):
        read_npz(tmp_path / "y.npz")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("train", "validation", "test"), (True, True)),
        (("x_train", "x_val", "x_test"), (True, True)),
        (("x_train", "x_test"), (False, True)),
        (("train", "valid"), (True, False)),
        (("x", "other"), (False, False)),
        (("anything",), (False, False)),
    ],
)
def test_arrays_are_found_by_their_names(
    tmp_path: Path, names: tuple[str, ...], found: tuple[bool, bool]
) -> None:
    """Splits that an archive names are used as they are."""
    arrays = {name: np.full((3, 2), i) for i, name in enumerate(names)}

    contents = npz(tmp_path, **arrays)

    assert (contents.validation is not None, contents.test is not None) == found
    assert np.all(contents.rows.values == 0)
    for split, name in ((contents.validation, names[1:2]), (contents.test, names[-1:])):
        if split is not None:
            assert np.all(split.values == arrays[name[0]])
            assert split.origin.file == f"x.npz[{name[0]}]"


def test_labels_of_an_archive_stay_with_their_rows(tmp_path: Path) -> None:
    """y_train goes with x_train and y_test with x_test."""
    x = np.zeros((2, 2))

    contents = npz(tmp_path, x_train=x, y_train=[1, 2], x_test=x, y_test=[3, 4])

    assert contents.rows.labels is not None
    assert contents.rows.labels.tolist() == [1, 2]
    assert contents.test is not None
    assert contents.test.labels is not None
    assert contents.test.labels.tolist() == [3, 4]


@pytest.mark.parametrize("test", [np.zeros((3, 3)), np.zeros((3, 2, 1))])
def test_splits_of_different_shapes_are_refused(tmp_path: Path, test: Any) -> None:
    """The error names the array and both shapes."""
    with pytest.raises(DataError, match=r"'test' must be like the training rows"):
        npz(tmp_path, train=np.zeros((3, 2)), test=test)


def test_splits_of_different_scales_are_refused(tmp_path: Path) -> None:
    """Gray values 0 to 255 are not mixed with floats that may be 0 to 1."""
    train = np.zeros((3, 2, 2), dtype=np.uint8)

    with pytest.raises(DataError, match=r"'test' must be like the training rows"):
        npz(tmp_path, train=train, test=np.zeros((3, 2, 2)))


def test_an_archive_without_a_known_name_is_refused(tmp_path: Path) -> None:
    """The error lists the names that were wanted and those that are there."""
    x = np.zeros((2, 2))

    with pytest.raises(DataError, match=r"named train, x_train or x, got a, b"):
        npz(tmp_path, a=x, b=x)


def test_an_empty_archive_is_refused(tmp_path: Path) -> None:
    """A zip file without members holds no array."""
    zipfile.ZipFile(tmp_path / "x.npz", "w").close()

    with pytest.raises(DataError, match=r"x.npz"):
        read_npz(tmp_path / "x.npz")
