"""Tables of mixed columns, as they are read from text."""

from pathlib import Path

from model.files import mixed
from model.files.options import ReadOptions


def test_each_guess_is_noted_once(tmp_path: Path) -> None:
    """The unit of the last column, the numbers of the labels, and a sum below."""
    path = tmp_path / "t.csv"
    rows = [f"{i},x,{i} kg,{'cat' if i % 2 else 'dog'}" for i in range(1, 13)]
    path.write_text("\n".join(["a,b,c,kind", *rows, "78,,78 kg,Total"]))

    found = mixed.read(path, ReadOptions(label="kind"))

    units, labels, total = found.notes[1:]
    assert "the numbers of column 'c' have the unit 'kg'" in units
    assert "0 = Total, 1 = cat, 2 = dog" in labels
    assert "sum" in total
