"""Data by name or path: every kind arrives as three splits of one shape."""

import csv
import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model import data
from model.data import DataError, load
from model.files import ReadOptions

DIGITS_SHA256 = "2f7f83999959466a0e5ccbc185e0da73e2205065260a2fa34ef6c749824a5070"
LABELS_SHA256 = "9b46cdd3bbccd5d23c4d6a0fb38d1b46a1f32eb5c6aebfbf14c59623b52ef120"


def write(folder: Path, kind: str) -> Path:
    """Write twenty examples of the values 0 and 1 as a file or folder of a kind."""
    x = (np.arange(20 * 12).reshape(20, 3, 4) % 7 == 0).astype(np.uint8) * 255
    path = folder / f"shapes{kind}"
    if kind == ".npy":
        np.save(path, x)
    elif kind == ".npz":
        np.savez(path, x_train=x, y_train=np.arange(20))
    elif kind == ".csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows((x // 255).reshape(20, 12))
    else:
        path.mkdir()
        for i, image in enumerate(x):
            Image.fromarray(image).save(path / f"{i:02}.png")
    return path


@pytest.mark.parametrize("kind", [".npy", ".npz", ".csv", ""])
def test_the_same_examples_are_the_same_data_in_every_form(
    tmp_path: Path, kind: str
) -> None:
    """Array, archive, table and folder give bit-identical splits and one hash."""
    reference = load(str(write(tmp_path, ".npy")), seed=3)

    dataset = load(str(write(tmp_path, kind)), seed=3)

    assert dataset.sha256 == reference.sha256
    assert dataset.name.startswith("shapes")
    assert dataset.data_shape == ((12,) if kind == ".csv" else (3, 4))
    assert [len(split.x) for split in dataset.splits] == [16, 2, 2]


def test_digits_are_the_real_ones_in_fixed_numbers() -> None:
    """1,797 images of 8x8 with values k/16, 200 to validate and 200 to test."""
    dataset = load("digits")

    x = np.concatenate([split.x for split in dataset.splits])
    rows = np.concatenate([split.rows for split in dataset.splits])
    assert [len(split.x) for split in dataset.splits] == [1397, 200, 200]
    assert sorted(rows) == list(range(1797))
    np.testing.assert_array_equal(np.unique(x), np.arange(17) / 16)
    assert (dataset.name, dataset.data_shape) == ("digits", (8, 8))
    assert dataset.divided_by == 16.0
    assert dataset.locate(dataset.test, 0, 9).endswith("of digits, position [1, 1]")


def test_digits_are_those_that_scikit_learn_loads() -> None:
    """Their hash is that of a data set from its `load_digits`, and so are labels."""
    dataset = load("digits")

    labels = np.concatenate([split.labels for split in dataset.splits])
    assert dataset.sha256 == DIGITS_SHA256
    assert hashlib.sha256(labels.tobytes()).hexdigest() == LABELS_SHA256


def test_without_scikit_learn_there_are_no_digits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error says what is missing."""
    monkeypatch.setitem(sys.modules, "sklearn", None)

    with pytest.raises(DataError, match="scikit-learn, which is not installed"):
        load("digits")


def test_the_first_digit_is_a_zero() -> None:
    """Labels stay with their images: rows 0 to 9 of the file are 0 to 9."""
    labels = np.full(1797, -1)

    for split in load("digits", seed=5).splits:
        assert split.labels is not None
        labels[split.rows] = split.labels

    assert labels[:10].tolist() == list(range(10))


def test_the_seed_moves_validation_but_not_test() -> None:
    """Models trained with different seeds are compared on the same test rows."""
    a, b = load("digits", seed=0), load("digits", seed=1)

    np.testing.assert_array_equal(a.test.x, b.test.x)
    assert a.validation.rows.tolist() != b.validation.rows.tolist()
    assert a.sha256 != b.sha256
    assert load("digits", seed=1).sha256 == b.sha256


def test_fractions_are_of_all_rows(tmp_path: Path) -> None:
    """Of 20 rows, a quarter and a tenth are 5 and 2."""
    path = write(tmp_path, ".npy")

    dataset = load(str(path), validation_fraction=0.25, test_fraction=0.1)

    assert [len(split.x) for split in dataset.splits] == [13, 5, 2]
    assert len(load("digits", validation_fraction=0.5).validation.x) == 898


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_fractions_are_between_0_and_1(fraction: float) -> None:
    """No split is empty and none is everything."""
    with pytest.raises(DataError, match="expected a validation fraction between"):
        load("digits", validation_fraction=fraction)


def test_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """An option that would be ignored is an error instead."""
    with pytest.raises(DataError, match="mnist has a fixed test set"):
        load("mnist", test_fraction=0.1)
    with pytest.raises(DataError, match="--sep is for tables, not for digits"):
        load("digits", reading=ReadOptions(sep=";"))
    with pytest.raises(DataError, match="a data directory is for mnist and fashion"):
        load("digits", data_dir=tmp_path)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_named_images_are_read_from_the_data_directory(
    tmp_path: Path, name: str
) -> None:
    """With a data directory nothing is downloaded, and foreign files are refused."""
    with pytest.raises(DataError, match="holds neither train-images-idx3-ubyte nor"):
        load(name, data_dir=tmp_path)

    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")

    with pytest.raises(DataError, match="wrong checksum"):
        load(name, data_dir=tmp_path)


@pytest.mark.parametrize("name", ["mnits", "data/none.csv"])
def test_an_unknown_name_gets_the_known_ones(name: str) -> None:
    """The error lists the data sets and says that a path must exist."""
    with pytest.raises(DataError) as caught:
        load(name)

    assert f"{name!r} is neither a known data set" in str(caught.value)
    assert all(known in str(caught.value) for known in data.NAMES)
    assert "nor a path that exists" in str(caught.value)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """The error lists the extensions that can be read."""
    (tmp_path / "x.pkl").write_bytes(b"")

    with pytest.raises(DataError, match=r"x.pkl is of no known kind: expected .npy"):
        load(str(tmp_path / "x.pkl"))


def test_a_bad_value_is_named_by_file_row_and_value(tmp_path: Path) -> None:
    """The sentence a user sees says where to look and what is there."""
    np.save(tmp_path / "x.npy", np.array([[0.0, 1.0], [2.0, np.nan]] * 5))

    with pytest.raises(DataError) as caught:
        load(str(tmp_path / "x.npy"))

    assert str(caught.value).startswith("row 1 of x.npy, position [1] holds nan;")


def test_the_source_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    """What goes into the model card is the file's name, not where it lay."""
    dataset = load(str(write(tmp_path, ".npz")))

    assert "shapes.npz" in dataset.source
    assert str(tmp_path) not in dataset.source


@pytest.mark.parametrize(
    ("shape", "divided_by"),
    [((2, 6), 1), ((2, 2, 3), 255), ((2, 2, 1, 3), 255), ((2, 3, 1, 1, 2), 1)],
)
def test_bytes_with_three_or_four_axes_are_images(
    tmp_path: Path, shape: tuple[int, ...], divided_by: int
) -> None:
    """Images are divided by 255, tables of small integers are not."""
    array = np.arange(12, dtype=np.uint8).reshape(shape)

    np.save(tmp_path / "x.npy", np.repeat(array, 2, axis=0))

    dataset = load(str(tmp_path / "x.npy"))

    assert dataset.divided_by == divided_by
    assert dataset.data_shape == shape[1:]
    x = np.concatenate([split.x for split in dataset.splits])
    expected = (np.arange(12) / divided_by).astype(np.float32)
    np.testing.assert_array_equal(np.unique(x), expected)


def test_integers_of_other_widths_are_not_images(tmp_path: Path) -> None:
    """Only unsigned bytes are known to be 8-bit gray values."""
    np.save(tmp_path / "x.npy", np.ones((5, 3, 3), dtype=np.int64))

    assert load(str(tmp_path / "x.npy")).divided_by == 1.0
