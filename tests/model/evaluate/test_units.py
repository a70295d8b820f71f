"""Units of cells through training, evaluation and bulk work: one meaning each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from model import checkpoint
from model.bulk.command import main as bulk
from model.evaluate.command import main as evaluate
from model.train.command import main as train
from tests.model.evaluate.test_files import figures

N = 60
OPTIONS = (
    *("--hidden", "6", "--latent-dim", "2", "--batch-size", "16", "--threads", "1"),
    *("--epochs", "2"),
)
Amount = Callable[[float], str]


def in_kg(mass: float) -> str:
    """Return a mass in kg as a cell with its unit."""
    return f"{mass:.1f} kg"


def plain(mass: float) -> str:
    """Return a mass in kg as a cell without its unit."""
    return f"{mass:.1f}"


def in_g(mass: float) -> str:
    """Return a mass in kg as a cell in g."""
    return f"{1000 * mass:.0f} g"


def numbers(path: Path, amount: Amount, dose: str = "") -> Path:
    """Write a table of numbers: a mass, and a size without a unit."""
    mass, size = _rows()
    cells = [f"{amount(m)},{s:.2f}{dose}" for m, s in zip(mass, size, strict=True)]
    path.write_text("\n".join(["mass,size", *cells]))
    return path


def cells(path: Path, amount: Amount, dose: str = " mg") -> Path:
    """Write a table of cells: a mass that may be missing, a dose and a word."""
    mass, _ = _rows()
    lines = [
        f"{'' if i % 7 == 3 else amount(m)},{5 * (1 + i % 3)}{dose},{'ab'[i % 2]}"
        for i, m in enumerate(mass)
    ]
    path.write_text("\n".join(["mass,dose,group", *lines]))
    return path


def _rows() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    draw = np.random.default_rng(0)
    size = draw.normal(170, 10, N)
    return 0.5 * size + draw.normal(0, 5, N), size


@pytest.mark.slow("trains and evaluates")
@pytest.mark.parametrize("write", [numbers, cells])
def test_numbers_are_in_the_unit_of_the_training(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same unit and none are the same figures; another is refused everywhere."""
    out, of_training = tmp_path / "out", write(tmp_path / "kg.csv", in_kg)
    assert train(["--data", str(of_training), "--out", str(out), *OPTIONS]) == 0
    x, same = write(tmp_path / "plain.csv", plain, ""), figures(out, of_training)
    capsys.readouterr()

    units = ("kg", None) if write is numbers else ("kg", "mg", None)
    assert checkpoint.load(out).config.data.column_units == units
    assert figures(out, x) == same
    assert "taken to be in that of the training: mass in kg" in capsys.readouterr().err
    other = write(tmp_path / "g.csv", in_g)
    commands: tuple[Callable[[], int], ...] = (
        lambda: evaluate(["--checkpoint", str(out), "--data", str(other)]),
        lambda: bulk(["encode", str(out), str(other), "--out", f"{tmp_path}/o.npy"]),
    )
    for command in commands:
        assert command() == 2
        said = capsys.readouterr().err
        assert "of g.csv, column 'mass' has a number in 'g', and the training" in said
    assert "Units: mass in kg" in (out / "README.md").read_text()


@pytest.mark.slow("trains and evaluates")
def test_rows_are_encoded_in_the_unit_of_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cells with the unit, without it, and weights that go on with other data."""
    out, of_training = tmp_path / "out", numbers(tmp_path / "kg.csv", in_kg)
    command = ["--data", str(of_training), "--out", str(out), *OPTIONS]
    assert train(command) == 0
    x = numbers(tmp_path / "plain.csv", plain)
    found = []
    for path in (of_training, x):
        to = path.with_suffix(".safetensors")
        assert bulk(["encode", str(out), str(path), "--out", str(to)]) == 0
        found.append(load_file(to)["mu"])
    capsys.readouterr()

    np.testing.assert_array_equal(found[0], found[1])
    others = ["--data", str(x), "--out", str(tmp_path / "more"), *OPTIONS]
    assert train([*others, "--init-from", str(out)]) == 2
    assert "data.column_units is ('kg', None), not None" in capsys.readouterr().err


@pytest.mark.slow("trains and evaluates")
def test_words_are_no_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Categories that are texts, such as 5 mg beside 2 ml, are found as they are."""
    path = tmp_path / "t.csv"
    path.write_text("dose,mass\n" + "5 mg,1.5\n2 ml,\n5 mg,2.5\n1 ml,3.5\n" * 10)
    out = tmp_path / "out"
    assert train(["--data", str(path), "--out", str(out), *OPTIONS]) == 0

    path.write_text("dose,mass\n" + "5 mg,1.5\n5 mg,\n5 mg,3.5\n" * 10)

    assert checkpoint.load(out).config.data.column_units is None
    assert figures(out, path)
    assert "no unit" not in capsys.readouterr().err
