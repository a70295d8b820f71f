"""A file by its path: the reader of its kind, or what to do instead."""

import re
from pathlib import Path

import pytest

from model.files import SUFFIXES, DataError, ReadOptions, read, read_mixed


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("x.xlsx", "save it as .csv"),
        ("x.pkl", "pickles are never read"),
        ("x.h5", "save its arrays as .npz"),
        ("x.zip", "unpack it first"),
        ("x.csv.xz", "unpack it first, or write .gz"),
        ("x.png", "give the folder of the pictures"),
        ("x.unknown", "of no known kind: expected"),
        ("x.gz", "of no known kind: expected"),
        ("x", "of no known kind: expected"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, name: str, hint: str
) -> None:
    """With the kinds that there are, and a hint for kinds that people have."""
    (tmp_path / name).write_bytes(b"")

    with pytest.raises(DataError) as caught:
        read(tmp_path / name)

    assert hint in str(caught.value)
    assert all(suffix in str(caught.value) for suffix in SUFFIXES)
    if "known kind" not in hint:
        with pytest.raises(DataError, match=f"; {re.escape(hint)}$"):
            read_mixed(tmp_path / name)


@pytest.mark.parametrize("name", ["t.csv", "t.CSV", "t.txt", "t.tab", "t.Dat"])
def test_kinds_are_known_by_their_names_in_any_case(tmp_path: Path, name: str) -> None:
    """As Windows writes them."""
    (tmp_path / name).write_text("a\tb\n1.5\t2\n")

    assert read(tmp_path / name).rows.values.tolist() == [[1.5, 2]]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (ReadOptions(sep=";"), "--sep is for tables, not for pets"),
        (ReadOptions(x_key="x"), "--x-key is for arrays, not for pets"),
    ],
)
def test_options_of_other_kinds_are_refused_for_a_folder(
    tmp_path: Path, options: ReadOptions, error: str
) -> None:
    """Before anything is read."""
    (tmp_path / "pets").mkdir()

    with pytest.raises(DataError, match=error):
        read(tmp_path / "pets", options)
