"""A number in a file is in the unit of the training, or it is refused."""

from pathlib import Path

import numpy as np
import pytest

from model.data_config import Data
from model.files import DataError, Origin, ReadOptions, column_units, read_for
from model.files.contents import ColumnUnit

NAMES = ("mass", "rate")
PLAIN = Data(
    name="people",
    divided_by=1.0,
    columns=NAMES,
    binarization="none",
    standardized=True,
)
TRAINED = PLAIN.model_copy(update={"column_units": ("kg", "%")})


def read(path: Path, trained: Data, *rows: str) -> tuple[list[list[float]], list[str]]:
    """Return the numbers of a table, and the notes on units."""
    path.write_text("\n".join(["mass,rate", *rows]))
    found = read_for(path, ReadOptions(), trained)
    notes = [note for note in found.notes if "training" in note]
    return np.asarray(found.rows.values).tolist(), notes


def refusal(path: Path, trained: Data, *rows: str) -> str:
    """Return why a table is refused."""
    with pytest.raises(DataError) as refused:
        read(path, trained, *rows)
    return str(refused.value)


def test_numbers_in_the_unit_of_the_training_are_read(tmp_path: Path) -> None:
    """Nothing is to be said of them, and they are the numbers without it."""
    same = read(tmp_path / "t.csv", TRAINED, "82 kg,12 %", "71.5 kg,8%")

    plain = read(tmp_path / "t.csv", TRAINED, "82,12", "71.5,8")

    rows = [[82.0, 12.0], [71.5, 8.0]]
    note = (
        "numbers without a unit in t.csv are taken to be in that of the training: mass"
        " in kg, rate in %"
    )
    assert same == (rows, [])
    assert plain == (rows, [note])


def test_another_unit_is_refused(tmp_path: Path) -> None:
    """With its place, both units, and what to do."""
    assert refusal(tmp_path / "t.csv", TRAINED, "82000 g,12 %") == (
        "line 2 of t.csv, column 'mass' has a number in 'g', and the training had the"
        " column in 'kg': convert the column, or leave the unit out if its numbers are"
        " in 'kg'"
    )
    assert "in '\u2030', and the training had the column in '%'" in refusal(
        tmp_path / "t.csv", TRAINED, "82,120 \u2030"
    )


def test_a_unit_that_training_did_not_have_is_said(tmp_path: Path) -> None:
    """But a percent sign is refused: 12 % is 0.12 in plain numbers, and read as 12."""
    rows, notes = read(tmp_path / "t.csv", PLAIN, "82 kg,12")

    assert rows == [[82, 12]]
    (note,) = notes
    assert note == (
        "line 2 of t.csv, column 'mass' has a number in 'kg', and the checkpoint has no"
        " unit for it: check that the training had the column in 'kg'"
    )
    assert "so that 12 % may be 12 or 0.12: write the column as the training had" in (
        refusal(tmp_path / "t.csv", PLAIN, "82,12 %")
    )


def test_many_columns_without_a_unit_are_one_short_note() -> None:
    """The first of them are named; those with a unit are not among them."""
    trained = PLAIN.model_copy(update={"columns": None, "column_units": ("m",) * 12})
    origin = Origin("t.csv", "line", column_units=(ColumnUnit(0, "m", 2),))

    (note,) = column_units.check(origin, trained)

    assert note.endswith(
        ": " + ", ".join(f"column {d} in m" for d in range(2, 10)) + (" and 3 more")
    )
