"""Arrays and tables of a user: read as they are, refused by file, row and value."""

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.dataset import DataError
from model.data.splits import Parts
from model.data.tables import read_csv, read_npy, read_npz


def npy(path: Path, array: object) -> Parts:
    """Save an array and read it back."""
    np.save(path / "x.npy", np.asarray(array))
    return read_npy(path / "x.npy")


def npz(path: Path, **arrays: object) -> Parts:
    """Save named arrays and read them back."""
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", np.asarray(array))
    with zipfile.ZipFile(path / "x.npz", "w") as archive:
        for name in arrays:
            archive.write(path / f"{name}.npy", f"{name}.npy")
    return read_npz(path / "x.npz")


def table(path: Path, text: str) -> Parts:
    """Write a CSV file and read it back."""
    (path / "t.csv").write_bytes(text.encode())
    return read_csv(path / "t.csv")


def test_floats_are_left_untouched(tmp_path: Path) -> None:
    """Real-valued arrays keep their values and shape."""
    parts = npy(tmp_path, np.linspace(-300, 300, 24).reshape(2, 3, 4))

    np.testing.assert_array_equal(
        parts.rows.x.ravel(), np.linspace(-300, 300, 24, dtype=np.float32)
    )
    assert parts.data_shape == (3, 4)
    assert parts.divided_by == 1.0
    assert parts.name == "x"


@pytest.mark.parametrize(
    ("shape", "divided_by"),
    [((2, 6), 1), ((2, 2, 3), 255), ((2, 2, 1, 3), 255), ((2, 3, 1, 1, 2), 1)],
)
def test_bytes_with_three_or_four_axes_are_images(
    tmp_path: Path, shape: tuple[int, ...], divided_by: int
) -> None:
    """Images are divided by 255, tables of small integers are not."""
    array = np.arange(12, dtype=np.uint8).reshape(shape)

    parts = npy(tmp_path, array)

    assert parts.divided_by == divided_by
    np.testing.assert_array_equal(
        parts.rows.x.ravel(), (np.arange(12) / divided_by).astype(np.float32)
    )


def test_integers_of_other_widths_are_not_images(tmp_path: Path) -> None:
    """Only unsigned bytes are known to be 8-bit gray values."""
    assert npy(tmp_path, np.ones((2, 3, 3), dtype=np.int64)).divided_by == 1.0


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

    parts = npz(tmp_path, **arrays)

    assert (parts.validation is not None, parts.test is not None) == found
    assert np.all(parts.rows.x == 0)
    for split, name in ((parts.validation, names[1:2]), (parts.test, names[-1:])):
        if split is not None:
            assert np.all(split.x == arrays[name[0]])
            assert split.origin.file == f"x.npz[{name[0]}]"


def test_labels_of_an_archive_stay_with_their_rows(tmp_path: Path) -> None:
    """y_train goes with x_train and y_test with x_test."""
    x = np.zeros((2, 2))

    parts = npz(tmp_path, x_train=x, y_train=[1, 2], x_test=x, y_test=[3, 4])

    assert parts.rows.labels is not None
    assert parts.rows.labels.tolist() == [1, 2]
    assert parts.test is not None
    assert parts.test.labels is not None
    assert parts.test.labels.tolist() == [3, 4]


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


@given(
    st.lists(
        st.lists(
            st.floats(width=32, allow_nan=False, allow_infinity=False),
            min_size=2,
            max_size=2,
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([(), ("a", "b")]),
)
def test_a_table_is_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[float]],
    header: tuple[str, ...],
) -> None:
    """Every float32 survives the way through a CSV file, with or without a header."""
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows] if header else rows)

    parts = table(tmp_path_factory.mktemp("table"), text.getvalue())

    np.testing.assert_array_equal(parts.rows.x, np.array(rows, dtype=np.float32))
    assert parts.rows.origin.columns == header
    assert parts.data_shape == (2,)


def test_rows_of_a_table_are_numbered_by_line(tmp_path: Path) -> None:
    """The header and empty lines count, as in an editor."""
    parts = table(tmp_path, '\ufeff"a, 1",b\r\n1, 2\r\n\r\n"3",4\r\n')

    assert parts.rows.rows.tolist() == [2, 4]
    assert parts.rows.origin.columns == ("a, 1", "b")
    np.testing.assert_array_equal(parts.rows.x, [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a,b\n1,2\n3,x\n", "line 3 of t.csv, column 'b' holds 'x'"),
        ("1,2\n3,\n", "line 2 of t.csv, column 2 holds ''"),
        ("1,2\n3,1_000\n", "line 2 of t.csv, column 2 holds '1_000'"),
        ("1,b\n3,4\n", "line 1 of t.csv, column 2 holds 'b'"),
        ("a;b\n1;2\n", "line 2 of t.csv, column 'a;b' holds '1;2'"),
        ("a,b\n1,2\n3,nan\n", "line 3 of t.csv, column 'b' holds nan"),
        ("1,2\n1e999,4\n", "line 2 of t.csv, column 1 holds inf"),
        ("a,b\n1,2\n3\n", "line 3 of t.csv has 1 cells, expected 2"),
        (",a\n0,2\n", "the header of t.csv has no name for column 1"),
        ("", "t.csv holds no rows"),
        ("\n\n", "t.csv holds no rows"),
        ("a,b\n", "t.csv holds no rows"),
        ('1,"2\n', "t.csv cannot be read: unexpected end of data"),
    ],
)
def test_a_bad_table_is_refused_by_line_and_column(
    tmp_path: Path, text: str, error: str
) -> None:
    """The error names file, line, column and value."""
    with pytest.raises(DataError) as caught:
        table(tmp_path, text)

    assert error in str(caught.value)


def test_a_table_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are an error that names the file."""
    (tmp_path / "t.csv").write_bytes(b"1,2\n\xff,3\n")

    with pytest.raises(DataError, match=r"t.csv cannot be read.*utf-8"):
        read_csv(tmp_path / "t.csv")


def test_a_long_cell_is_not_echoed_whole(tmp_path: Path) -> None:
    """The error stays short however bad the cell."""
    with pytest.raises(DataError) as caught:
        table(tmp_path, "1,2\n3," + 10_000 * "x")

    assert len(str(caught.value)) < 200
