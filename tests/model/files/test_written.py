"""Tables as programs write them: pandas, R, LibreOffice, and by hand."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from model.files import Contents, ReadOptions, read
from tests.model.files.programs import COLUMNS, PROGRAMS, SPECIES, X

WRITTEN = Path(__file__).parent / "written"
TABLES = sorted(path.name for path in WRITTEN.iterdir())
BINARY = (".parquet", ".feather", ".arrow")


def check(path: Path) -> None:
    """Read a table and compare it with what the program was given."""
    contents = read_chosen(path)

    exact = "libreoffice" not in path.name  # writes what it shows: five decimals
    np.testing.assert_allclose(contents.rows.values, X, rtol=1e-15 if exact else 1e-6)
    if "array" in path.name:
        assert contents.rows.origin.columns == ("0", "1", "2", "3")
        return
    assert contents.rows.origin.columns == COLUMNS
    assert contents.rows.labels is not None
    expected = [sorted(set(SPECIES)).index(species) for species in SPECIES]
    assert contents.rows.labels.tolist() == expected


def read_chosen(path: Path) -> Contents:
    """Read a table, with its column of texts as labels."""
    label = None if "array" in path.name else "species"
    return read(path, ReadOptions(label=label))


@pytest.mark.parametrize("name", TABLES)
def test_tables_that_programs_wrote_are_read(name: str) -> None:
    """Each with its separator, decimal mark, encoding, header, index and truths."""
    if name.endswith(BINARY) and find_spec("pyarrow") is None:
        pytest.skip("needs the extra `parquet`")

    check(WRITTEN / name)


@pytest.mark.external
@pytest.mark.parametrize("program", PROGRAMS)
def test_tables_that_programs_write_now_are_read(program: str, tmp_path: Path) -> None:
    """Of the versions that are installed, every file that is stored of others too."""
    write, is_here = PROGRAMS[program]
    if not is_here:
        pytest.skip(f"{program} is not installed")

    write(tmp_path)

    written = sorted(path.name for path in tmp_path.iterdir())
    stored = [name for name in TABLES if name.startswith(program)]
    assert [n for n in stored if n not in written and not n.endswith(BINARY)] == []
    for name in written:
        check(tmp_path / name)
