"""Arrays of a user: read as they are, refused by file and name."""

import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from model.files import Contents, DataError, ReadOptions, read, scratch


def npy(path: Path, array: object) -> Contents:
    """Save an array and read it back."""
    np.save(path / "x.npy", np.asarray(array))
    return read(path / "x.npy")


def npz(
    path: Path, options: ReadOptions | None = None, /, **arrays: object
) -> Contents:
    """Save named arrays and read them back."""
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", np.asarray(array))
    with zipfile.ZipFile(path / "x.npz", "w") as archive:
        for name in arrays:
            archive.write(path / f"{name}.npy", f"{name}.npy")
    return read(path / "x.npz", options)


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

    with pytest.raises(DataError, match=r"as NumPy arrays: it holds Python objects"):
        read(tmp_path / "x.npy")


def test_no_error_advises_to_unpickle(tmp_path: Path) -> None:
    """NumPy's words do, of every file that it does not know."""
    (tmp_path / "x.npy").write_bytes(b"some text")
    np.savez(tmp_path / "y.npz", x=np.eye(3), y=np.array(["a", None, 1], object))

    with pytest.raises(DataError, match=r"no file that numpy\.save or") as refused:
        read(tmp_path / "x.npy")
    (passed_over,) = [n for n in read(tmp_path / "y.npz").notes if "passed over" in n]

    assert "allow_pickle" not in f"{refused.value} {passed_over}"
    assert "holds Python objects" in passed_over


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00"])
def test_files_that_are_no_arrays_are_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, foreign and truncated files are errors that name them."""
    for name in ("x.npy", "x.npz"):
        (tmp_path / name).write_bytes(content)

        with pytest.raises(DataError, match=f"{name} cannot be read as NumPy arrays"):
            read(tmp_path / name)


def test_a_truncated_array_is_refused(tmp_path: Path) -> None:
    """A file shorter than its header promises is an error."""
    npy(tmp_path, np.zeros((10, 10)))
    path = tmp_path / "x.npy"
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(DataError, match=r"x.npy cannot be read"):
        read(path)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    """A member whose checksum fails is an error that names the file."""
    npz(tmp_path, x=np.zeros((10, 10)))
    path = tmp_path / "x.npz"
    content = bytearray(path.read_bytes())
    content[400] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"x.npz cannot be read: Bad CRC-32"):
        read(path)


def test_an_extension_that_lies_is_refused(tmp_path: Path) -> None:
    """An archive named .npy and an array named .npz are distinguished."""
    npz(tmp_path, x=np.zeros((2, 2)))
    (tmp_path / "x.npz").rename(tmp_path / "y.npy")
    npy(tmp_path, np.zeros((2, 2)))
    (tmp_path / "x.npy").rename(tmp_path / "y.npz")

    with pytest.raises(DataError, match=r"y.npy is an .npz archive"):
        read(tmp_path / "y.npy")
    with pytest.raises(DataError, match=r"y.npz is not an .npz archive"):
        read(tmp_path / "y.npz")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("train", "validation", "test"), (True, True)),
        (("x_train", "x_val", "x_test"), (True, True)),
        (("x_train", "x_test"), (False, True)),
        (("train", "valid"), (True, False)),
        (("x", "other"), (False, False)),
        (("anything",), (False, False)),
        (("X_train", "X_valid", "X_test"), (True, True)),
        (("train_images", "val_images", "test_images"), (True, True)),
        (("Xtrain", "Xtest"), (False, True)),
        (("training", "test_x"), (False, True)),
        (("data", "other"), (False, False)),
        (("imgs", "other"), (False, False)),
        (("arr_0", "arr_1"), (False, False)),
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

    with pytest.raises(
        DataError, match=r"named train, x_train or x, got a, b: --x-key"
    ):
        npz(tmp_path, a=x, b=x)


def test_an_empty_archive_is_refused(tmp_path: Path) -> None:
    """A zip file without members holds no array."""
    zipfile.ZipFile(tmp_path / "x.npz", "w").close()

    with pytest.raises(DataError, match=r"x.npz"):
        read(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([2, 0, 1], [2, 0, 1]),
        ([2.0, 0.0, 1.0], [2, 0, 1]),
        ([True, False, True], [1, 0, 1]),
        ([[2], [0], [1]], [2, 0, 1]),
        ([[2.0], [0.0], [1.0]], [2, 0, 1]),
        (["rose", "aster", "iris"], [2, 0, 1]),
        ([[b"rose"], [b"aster"], [b"iris"]], [2, 0, 1]),
        ([[0, 0, 1], [1, 0, 0], [0, 1, 0]], [2, 0, 1]),
        ([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], [1, 0, 1]),
        ([2.5, 0.0, 1.0], None),
        ([float("nan"), 0.0, 1.0], None),
        ([1, 2], None),
        ([[1, 1], [1, 0], [0, 1]], None),
        ([[0.5, 0.5], [1, 0], [0, 1]], None),
        ([1j, 2, 3], None),
        (3, None),
    ],
)
@pytest.mark.parametrize(
    ("x_name", "y_name"),
    [("x", "y"), ("x_train", "y_train"), ("train_images", "train_labels")],
)
def test_labels_are_read_where_they_are_some_and_else_passed_over(
    tmp_path: Path, x_name: str, y_name: str, y: object, expected: list[int] | None
) -> None:
    """Labels are never in the way of x; what is no labels is said in a line."""
    x = np.arange(6.0).reshape(3, 2)

    contents = npz(tmp_path, **{x_name: x, y_name: y})

    np.testing.assert_array_equal(contents.rows.values, x)
    if expected is None:
        assert contents.rows.labels is None
        assert any(f"{y_name!r} of x.npz is passed over" in n for n in contents.notes)
    else:
        assert contents.rows.labels is not None
        assert contents.rows.labels.dtype == np.int64
        assert contents.rows.labels.tolist() == expected


def test_labels_that_are_python_objects_are_passed_over(tmp_path: Path) -> None:
    """They would have to be unpickled, and that is no reason not to train."""
    y = np.array(["a", None, 3], dtype=object)
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 2)), y=y, allow_pickle=True)

    contents = read(tmp_path / "x.npz")

    assert contents.rows.labels is None
    assert any("'y' of x.npz is passed over:" in note for note in contents.notes)


def test_members_that_are_no_arrays_are_passed_over(tmp_path: Path) -> None:
    """Such as a text that was put into the archive."""
    np.savez(tmp_path / "x.npz", somewhere=np.zeros((3, 2)), scalar=3)
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive:
        archive.writestr("README", "no array")

    contents = read(tmp_path / "x.npz")

    assert contents.rows.values.shape == (3, 2)


def test_the_array_of_x_key_is_used(tmp_path: Path) -> None:
    """Whatever the names; labels with a usual name stay."""
    x, other = np.zeros((3, 2)), np.ones((3, 2))

    contents = npz(tmp_path, ReadOptions(x_key="b"), x=other, b=x, y=[0, 1, 2])

    np.testing.assert_array_equal(contents.rows.values, x)
    assert contents.rows.labels is not None
    assert contents.rows.labels.tolist() == [0, 1, 2]
    with pytest.raises(
        DataError, match=r"--x-key c: .*x.npz has no such array, it has"
    ):
        npz(tmp_path, ReadOptions(x_key="c"), x=other, b=x)
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(DataError, match=r"--x-key is for .npz, x.npy has one array"):
        read(tmp_path / "x.npy", ReadOptions(x_key="x"))


def test_the_only_array_with_rows_is_found_among_others(tmp_path: Path) -> None:
    """Scalars, texts and single columns are not x."""
    x = np.zeros((3, 2))

    contents = npz(tmp_path, a=x, b=[1, 2, 3], c="text", d=5)

    np.testing.assert_array_equal(contents.rows.values, x)
    assert any("read from its arrays a of a, b, c, d" in n for n in contents.notes)


def test_an_array_is_mapped_and_not_read(tmp_path: Path) -> None:
    """A file larger than memory needs no more of it than is used."""
    contents = npy(tmp_path, np.arange(6).reshape(3, 2))

    assert isinstance(contents.rows.values, np.memmap)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["<f8", ">f4", "u1", "?", ">i8"])
def test_a_large_member_of_an_archive_is_unpacked_to_a_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    order: Literal["C", "F"],
    compressed: bool,
    dtype: str,
) -> None:
    """With the values that it has in memory, byte order and axes included."""
    x = np.asarray(np.arange(24).reshape(4, 3, 2) % 2, dtype=dtype, order=order)
    save = np.savez_compressed if compressed else np.savez
    save(tmp_path / "x.npz", x=x)
    monkeypatch.setattr(scratch, "limit", lambda: 3)

    contents = read(tmp_path / "x.npz")

    values = contents.rows.values
    np.testing.assert_array_equal(values, x)
    assert values.dtype == x.dtype
    assert isinstance(values, np.memmap)
