"""Tables of mixed kinds: cells and codes in files are those of requests."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from model.bulk.command import main
from tests.app.served import Served
from tests.model.bulk.commands import written
from tests.model.bulk.service import Arrays, answered, assert_same_bits
from tests.model.tables.tables import MISSING, MIXED, mixed_codes, model
from tests.tiny import save_tiny

N = 2500  # rows, of more than one block


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a model of a table."""
    path = tmp_path_factory.mktemp("table") / "table"
    gappy = model(MIXED, mixed_codes(), missing=MISSING)
    with Served(save_tiny(path, gappy), max_rows=N) as served:
        yield served


def arrays(out: Path, *words: object) -> Arrays:
    """Run a command in two shards, and return what it has written."""
    parts = []
    for rows in (":77", "77:"):
        parts.append(written(out, *words, "--rows", rows))
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


@pytest.mark.slow("encodes a large file and as many requests")
def test_codes_of_cells_are_computed_as_in_requests(
    table: Served, tmp_path: Path
) -> None:
    """Encoded, scored, decoded and drawn, with missing cells."""
    path, out = table.settings.checkpoint_directory, tmp_path / "o.safetensors"
    x, z = mixed_codes(N, seed=3), tmp_path / "z.npy"
    np.save(tmp_path / "x.npy", x)
    np.save(z, np.random.default_rng(1).standard_normal((N, 2), dtype=np.float32))

    encoded = arrays(out, "encode", path, tmp_path / "x.npy")
    scored = arrays(out, "score", path, tmp_path / "x.npy", "--n-samples", 3)
    decoded = arrays(out, "decode", path, z)
    drawn = arrays(out, "sample", path, "--n", N, "--draw", "sample")
    whole = arrays(out, "sample", path, "--n", N, "--draw", "sample", "--complete")

    assert_same_bits(encoded, answered(table, "/encode", x=x))
    assert_same_bits(scored, answered(table, "/elbo?n_samples=3&seed=0", x=x))
    assert_same_bits(decoded, answered(table, "/decode", z=np.load(z)))
    url = f"/sample?n={N}&seed=0&draw=sample"
    assert_same_bits(drawn, answered(table, url))
    assert_same_bits(whole, answered(table, f"{url}&complete=true"))
    assert np.isnan(drawn["x"]).any()
    assert not np.isnan(whole["x"]).any()


def test_cells_of_a_table_are_found_by_name(table: Served, tmp_path: Path) -> None:
    """Words, truth values and gaps mean the codes that stand for them."""
    path, out = table.settings.checkpoint_directory, tmp_path / "o.safetensors"
    rows = "".join("b,True,12,0.5\n,False,,20.3\n" for _ in range(50))
    (tmp_path / "x.csv").write_text(f"group,flag,amount,size\n{rows}")
    np.save(
        tmp_path / "x.npy",
        np.tile([[12, 0.5, 1, 1], [np.nan, 20.3, np.nan, 0]], (50, 1)),
    )

    cells = arrays(out, "encode", path, tmp_path / "x.csv")
    codes = arrays(out, "encode", path, tmp_path / "x.npy")

    assert_same_bits(cells, codes)


def test_cells_of_parquet_are_those_of_text(table: Served, tmp_path: Path) -> None:
    """With another order of the columns, words, and values that are missing."""
    arrow, parquet = (pytest.importorskip(f"pyarrow{x}") for x in ("", ".parquet"))
    path, out = table.settings.checkpoint_directory, tmp_path / "o.safetensors"
    columns = {
        "group": ["b", None] * 50,
        "flag": [True, False] * 50,
        "amount": [12, None] * 50,
        "size": [0.5, 20.3] * 50,
    }
    parquet.write_table(arrow.table(columns), tmp_path / "x.parquet")
    rows = "".join("b,True,12,0.5\n,False,,20.3\n" for _ in range(50))
    (tmp_path / "x.csv").write_text(f"group,flag,amount,size\n{rows}")

    found = arrays(out, "encode", path, tmp_path / "x.parquet")

    assert_same_bits(found, arrays(out, "encode", path, tmp_path / "x.csv"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (7.0, "row 2100 of x.npy, position [2] holds 7.0; expected a category from 0"),
        (np.inf, "position [2] holds inf; expected a category from 0 to 3"),
    ],
)
def test_a_code_that_a_column_cannot_have_is_named(
    table: Served,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    code: float,
    words: str,
) -> None:
    """With its row in the file."""
    x = mixed_codes(N)
    x[2100, 2] = code
    np.save(tmp_path / "x.npy", x)
    path, out = str(table.settings.checkpoint_directory), str(tmp_path / "o.npy")

    status = main(["encode", path, str(tmp_path / "x.npy"), "--out", out])

    assert status == 2
    assert words in capsys.readouterr().err


def test_a_cell_that_a_column_cannot_have_is_named(
    table: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its line and its column."""
    (tmp_path / "x.csv").write_text(
        "amount,size,group,flag\n1,2,a,True\nmuch,2,a,True\n"
    )
    path, out = str(table.settings.checkpoint_directory), str(tmp_path / "o.npy")

    status = main(["encode", path, str(tmp_path / "x.csv"), "--out", out])

    assert status == 2
    assert "line 3 of x.csv, column 'amount'" in capsys.readouterr().err
