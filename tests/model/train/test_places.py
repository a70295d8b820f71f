"""Where a run keeps its files, and what it never overwrites."""

from pathlib import Path

import pytest

from model.train.options import RunOptions
from model.train.places import Places


def places(where: Path) -> Places:
    """Return those of a run with `--out` there."""
    return Places.of(RunOptions(out=where / "digits"))


def test_a_run_keeps_its_own_files_beside_the_checkpoint(tmp_path: Path) -> None:
    """So that the checkpoint appears in one step, complete."""
    run = places(tmp_path)

    assert run.checkpoint == tmp_path / "digits"
    assert run.journal == tmp_path / "digits.training" / "metrics.jsonl"
    assert run.state == tmp_path / "digits.training" / "state.safetensors"


@pytest.mark.parametrize(
    ("data", "name"),
    [("digits", "digits"), ("there/table.csv", "table"), ("photos/", "photos")],
)
def test_without_out_the_data_give_the_name(data: str, name: str) -> None:
    """A folder by its name, a file without its ending."""
    assert Places.of(RunOptions(data=data)).checkpoint == Path("checkpoints") / name


def test_the_data_here_give_the_name_of_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--data .` is a folder with a name too."""
    (tmp_path / "faces").mkdir()
    monkeypatch.chdir(tmp_path / "faces")

    assert Places.of(RunOptions(data=".")).checkpoint == Path("checkpoints") / "faces"


@pytest.mark.parametrize("out", [".", "..", "/", "some/.."])
def test_out_must_name_a_directory_of_its_own(out: str) -> None:
    """The present directory, the one above and the root are not for replacing."""
    with pytest.raises(ValueError, match="--out must name a directory of its own, got"):
        Places.of(RunOptions(out=Path(out)))


def test_a_name_is_short_enough_for_what_is_made_of_it() -> None:
    """A checkpoint is written under a longer name first, when training is over."""
    assert Places.of(RunOptions(out=Path("n" * 200))).checkpoint == Path("n" * 200)
    with pytest.raises(ValueError, match="at most 200 bytes, got 202"):
        Places.of(RunOptions(out=Path("\u00e9" * 101)))


def test_a_checkpoint_is_not_taken_over(tmp_path: Path) -> None:
    """Without `--overwrite` it is named, with the ways out."""
    run = places(tmp_path)
    run.checkpoint.mkdir()
    (run.checkpoint / "manifest.json").touch()

    with pytest.raises(ValueError, match="already exists: give another --out, or"):
        run.check_free()
    run.check_replaceable()


def test_an_unfinished_run_is_not_taken_over(tmp_path: Path) -> None:
    """It can be gone on with, and the sentence says how."""
    run = places(tmp_path)
    run.clear()
    run.check_free()  # nothing was saved yet
    run.state.touch()

    with pytest.raises(
        ValueError, match=f"continue with --resume {run.checkpoint}, or"
    ):
        run.check_free()
    run.check_replaceable()


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_what_is_no_checkpoint_is_never_replaced(tmp_path: Path, kind: str) -> None:
    """`--overwrite` does not delete somebody's photos."""
    run = places(tmp_path)
    if kind == "directory":
        run.checkpoint.mkdir()
        (run.checkpoint / "photo.png").touch()
    else:
        run.checkpoint.touch()

    with pytest.raises(
        ValueError, match="is not a checkpoint, so --overwrite does not"
    ):
        run.check_replaceable()
    with pytest.raises(ValueError, match="already exists"):
        run.check_free()


def test_an_empty_directory_is_free(tmp_path: Path) -> None:
    """Such as the mount point of a volume."""
    run = places(tmp_path)
    run.checkpoint.mkdir()

    run.check_free()
    run.check_replaceable()


def test_clearing_removes_an_earlier_run_and_nothing_else(tmp_path: Path) -> None:
    """The journal and the state go; another file in the directory stays."""
    run = places(tmp_path)
    run.clear()
    run.record({"epoch": 1})
    run.state.touch()
    (run.run / "notes.txt").touch()

    run.clear()

    assert [path.name for path in run.run.iterdir()] == ["notes.txt"]
    assert run.journal_lines() == []
