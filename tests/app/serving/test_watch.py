"""A directory has news once its files are others and stay as they are."""

import os
import shutil
from pathlib import Path

from app.serving.watch import Watch


def looks(watch: Watch, n: int = 3) -> list[bool]:
    """Look several times."""
    return [watch.has_changed() for _ in range(n)]


def test_what_lies_there_at_first_is_new_once(tmp_path: Path) -> None:
    """At the second look, which finds the same; never again."""
    (tmp_path / "a").write_text("1")

    assert looks(Watch(tmp_path), 4) == [False, True, False, False]


def test_what_changes_is_new_when_it_has_settled(tmp_path: Path) -> None:
    """Not while a file grows."""
    watch = Watch(tmp_path)
    file = tmp_path / "a"
    file.write_text("1")
    looks(watch)

    growing = []
    for _ in range(3):
        file.write_text(file.read_text() + "1")
        growing.append(watch.has_changed())

    assert growing == [False] * 3
    assert looks(watch) == [True, False, False]


def test_a_file_of_the_same_size_is_another(tmp_path: Path) -> None:
    """A file put in its place is recognized by its inode."""
    watch = Watch(tmp_path)
    (tmp_path / "a").write_text("1")
    looks(watch)
    (tmp_path / "b").write_text("2")
    (tmp_path / "b").rename(tmp_path / "a")

    assert looks(watch) == [False, True, False]


def test_a_file_that_is_written_over_with_its_old_time_is_another(
    tmp_path: Path,
) -> None:
    """`cp -p` and `rsync --inplace` keep the time of the file that they copy."""
    watch = Watch(tmp_path)
    file = tmp_path / "a"
    file.write_text("1")
    before = file.stat()
    looks(watch)
    file.write_text("2")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert looks(watch) == [False, True, False]


def test_nothing_there_is_no_news(tmp_path: Path) -> None:
    """A directory that is gone for a moment, or a link to nowhere in it."""
    directory = tmp_path / "tiny"
    watch = Watch(directory)

    missing = looks(watch)
    directory.mkdir()
    (directory / "a").symlink_to("nowhere")
    broken = looks(watch)
    shutil.rmtree(directory)

    assert missing == broken == looks(watch) == [False] * 3


def test_a_link_that_names_another_directory_is_news(tmp_path: Path) -> None:
    """What the link names is looked at."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("1")
    (tmp_path / "now").symlink_to("one")
    watch = Watch(tmp_path / "now")
    looks(watch)
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(tmp_path / "now")

    assert looks(watch) == [False, True, False]


def test_a_broken_link_hides_no_change(tmp_path: Path) -> None:
    """Of a new version with fewer files, links to those of the old one may be left."""
    for name, files in (("one", "ab"), ("two", "a")):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text("1")
    (tmp_path / "now").symlink_to("one")
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    for file in "ab":
        (checkpoint / file).symlink_to(f"../now/{file}")
    watch = Watch(checkpoint)
    looks(watch)
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(tmp_path / "now")

    assert looks(watch) == [False, True, False]
