"""Files through training and evaluation: one reader, one meaning of columns."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model import checkpoint
from model.evaluate.command import main as evaluate
from model.train.command import main as train
from tests.model.train.runs import SMALL, write_table

COLUMNS = ("a", "b", "c", "d")
SPECIES = ("aster", "iris", "rose")
GAUSSIAN = (*SMALL, "--epochs", "2", "--likelihood", "gaussian")


def written(
    path: Path,
    x: np.ndarray[Any, np.dtype[np.float64]],
    columns: Sequence[str],
    *,
    header: bool = True,
) -> Path:
    """Write rows as a German spreadsheet would, with an id and a species."""
    chosen = x[:, [COLUMNS.index(column) for column in columns]]
    lines = [";".join(("patient_id", *columns, "species"))] if header else []
    for i, row in enumerate(chosen):
        cells = [f"{value:.17g}".replace(".", ",") for value in row]
        lines.append(";".join([str(i + 100), *cells, SPECIES[i % 3]]))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def x(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray[Any, Any]:
    """Return 60 rows of a linear Gaussian model."""
    path = write_table(tmp_path_factory.mktemp("x") / "x.npy", n=60)
    found: np.ndarray[Any, Any] = np.load(path)
    return found


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, x: np.ndarray[Any, Any]
) -> tuple[Path, str]:
    """Train on a table, and return the checkpoint and what was said."""
    where = tmp_path_factory.mktemp("trained")
    path = written(where / "people.csv", x, COLUMNS)
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("sys.stderr.write", said.append)
        options = ("--drop", "patient_id", "--label", "species")
        out = str(where / "out")
        status = train(["--data", str(path), "--out", out, *options, *GAUSSIAN])
    assert status == 0, said
    return where / "out", "".join(said)


def figures(model: Path, data: Path, *options: str) -> list[float]:
    """Return the ELBO of the test rows."""
    out = data.with_suffix(".json")
    arguments = ["--checkpoint", str(model), "--data", str(data), "--out", str(out)]
    assert evaluate([*arguments, "--threads", "1", *options]) == 0
    rows: list[float] = json.loads(out.read_text())["measures"]["elbo"]["rows"]["elbo"]
    return rows


@pytest.mark.slow("trains and evaluates")
def test_a_table_is_read_as_the_terminal_says(trained: tuple[Path, str]) -> None:
    """Names of columns and labels get into the checkpoint; every guess into a line."""
    loaded = checkpoint.load(trained[0])

    assert loaded.config.data.columns == COLUMNS
    assert loaded.examples is not None
    assert loaded.examples.labels is not None
    assert set(loaded.examples.labels.tolist()) <= {0, 1, 2}
    assert "people.csv is read separated by semicolons, with a decimal" in trained[1]
    assert "with a header; 4 columns: a, b, c, d" in trained[1]
    assert "0 = aster, 1 = iris, 2 = rose" in trained[1]


@pytest.mark.slow("trains and evaluates")
def test_columns_are_found_by_name_in_evaluation(
    trained: tuple[Path, str],
    x: np.ndarray[Any, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In whatever order a table has them, and whatever else it has."""
    model = trained[0]
    same = figures(model, written(tmp_path / "same.csv", x, COLUMNS))
    moved = figures(model, written(tmp_path / "moved.csv", x, COLUMNS[::-1]))
    said = capsys.readouterr().err
    np.save(tmp_path / "x.npy", x)
    plain = figures(model, tmp_path / "x.npy")

    assert moved == same
    assert plain == same
    assert "left out of moved.csv: patient_id, species, which the model" in said


@pytest.mark.slow("trains and evaluates")
def test_a_table_without_a_column_of_the_model_is_refused(
    trained: tuple[Path, str],
    x: np.ndarray[Any, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Missing columns are named, and so are those that are there."""
    path = written(tmp_path / "less.csv", x, COLUMNS[1:])
    model = ("--checkpoint", str(trained[0]))

    assert evaluate([*model, "--data", str(path)]) == 2
    said = capsys.readouterr().err
    assert "less.csv lacks 1 of the model's 4 columns, a; it has" in said

    path = written(tmp_path / "other.csv", x, COLUMNS[::-1])
    options = ("--columns", "d", "c", "b", "a")
    assert evaluate([*model, "--data", str(path), *options]) == 2
    assert "has the columns d, c, b, a, the model is for" in capsys.readouterr().err


@pytest.mark.slow("trains and evaluates")
def test_a_background_is_that_of_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless the option names one: the same pictures are the same x."""
    draw = np.random.default_rng(0)
    (tmp_path / "pets").mkdir()
    for i in range(20):
        pixels = draw.integers(0, 256, (4, 4, 4), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pets" / f"{i:02}.png")
    pets = ("--data", str(tmp_path / "pets"))
    out = tmp_path / "out"
    options = ("--background", "black", "--out", str(out), *SMALL, "--epochs", "1")
    assert train([*pets, *options, "--likelihood", "gaussian"]) == 0
    capsys.readouterr()

    assert evaluate(["--checkpoint", str(out), *pets, "--threads", "1"]) == 0
    said = capsys.readouterr().err

    assert checkpoint.load(out).config.data.background == 0
    assert "laid on black where transparent" in said


@pytest.mark.slow("trains and evaluates")
def test_weights_go_on_with_the_same_columns_only(
    trained: tuple[Path, str],
    x: np.ndarray[Any, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of a table in another order, --init-from says how to put it in the old one."""
    path = written(tmp_path / "moved.csv", x, COLUMNS[::-1])
    options = ("--init-from", str(trained[0]), "--out", str(tmp_path / "out"))
    command = ["--data", str(path), *options, "--label", "species", *GAUSSIAN]

    assert train([*command, "--drop", "patient_id"]) == 2
    assert "its columns are a, b, c, d, not d, c, b, a; give --columns a b c d" in (
        capsys.readouterr().err
    )

    assert train([*command, "--columns", *COLUMNS]) == 0


@pytest.mark.slow("trains and evaluates")
def test_a_header_is_given_or_denied_by_a_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--header and --no-header, where neither is known."""
    path = tmp_path / "t.csv"
    path.write_text("0,1\n" + "1,0\n0,0\n" * 10)
    command = ["--data", str(path), *SMALL, "--epochs", "1"]

    assert train([*command, "--out", str(tmp_path / "asked")]) == 2
    assert "can be a header or a row: say which" in capsys.readouterr().err

    for flag, columns in (("--header", ("0", "1")), ("--no-header", None)):
        out = tmp_path / flag
        assert train([*command, flag, "--out", str(out)]) == 0
        assert checkpoint.load(out).config.data.columns == columns


@pytest.mark.slow("trains and evaluates")
def test_pictures_in_classes_are_trained_on_and_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of several sizes, formats and modes; evaluation turns them gray as training."""
    draw = np.random.default_rng(0)
    for i in range(30):
        folder = tmp_path / "pets" / ("cats", "dogs")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 256, (6 + i % 3, 6, 3), dtype=np.uint8)
        name = f"{i}.{('png', 'webp', 'bmp')[i % 3]}"
        Image.fromarray(pixels).save(folder / name, lossless=True)
    options = ("--size", "4x5", "--mode", "gray", "--data", str(tmp_path / "pets"))
    out = tmp_path / "out"

    status = train([*options, "--out", str(out), *SMALL, "--epochs", "1"])
    said = capsys.readouterr().err

    assert status == 0, said
    loaded = checkpoint.load(out)
    assert loaded.config.data_shape == (4, 5)
    assert loaded.config.data.background == 1
    assert loaded.config.data.turned_gray
    assert loaded.examples is not None
    assert loaded.examples.labels is not None
    assert "0 = cats, 1 = dogs" in said
    assert "are scaled by averaging areas, without keeping the aspect ratio" in said
    of_training = ("--size", "4x5", "--data", str(tmp_path / "pets"))
    assert evaluate(["--checkpoint", str(out), *of_training, "--threads", "1"]) == 0
    assert "are turned gray" in capsys.readouterr().err
