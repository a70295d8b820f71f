"""`python -m model.train` and `model.evaluate` on tables of mixed columns."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from model import checkpoint
from model.evaluate import command as evaluate
from model.inference.row_anomalies import HeldOutScores
from model.tables.schema import LOG_SHARE, PLANES, Codes, TableSchema
from model.tables.tails import extremeness, log_shares, tail_p_values
from model.train import command as train
from model.train.objectives import mean_bound

N = 240
QUICK = (
    *("--hidden", "8", "--latent-dim", "2", "--epochs", "3", "--threads", "1"),
    *("--test-samples", "2", "--device", "cpu"),
)


def write(path: Path, *, n: int = N, header: bool = True) -> Path:
    """Write people, of whom age decides income and job; cells are missing."""
    draw = np.random.default_rng(0)
    age = draw.integers(18, 80, n)
    job = np.where(age < 40, "clerk", np.where(draw.random(n) < 0.5, "nurse", "cook"))
    income = np.where(draw.random(n) < 0.3, 0, np.round(age * draw.gamma(8, 9, n)))
    lines = ["id,age,job,income,member,plan"] if header else []
    for i in range(n):
        cells = [i, age[i], job[i], int(income[i]), age[i] % 2 == 0, "basic"]
        cells[1 + i % 4] = "" if i % 7 == 0 else cells[1 + i % 4]
        lines.append(",".join(map(str, cells)))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a trained table, with its file and its checkpoint."""
    folder = tmp_path_factory.mktemp("run")
    file = write(folder / "people.csv")
    status = train.main(["--data", str(file), "--out", str(folder / "out"), *QUICK])
    assert status == 0
    return folder


@pytest.mark.slow("trains")
def test_a_table_with_texts_needs_no_option(run: Path) -> None:
    """Its columns are inferred, and stand in the checkpoint."""
    loaded = checkpoint.load(run / "out")

    table = loaded.config.table
    assert table is not None
    kinds = {column.name: column.kind for column in table.columns}
    assert kinds == {
        "age": "numeric",
        "job": "categorical",
        "income": "numeric",
        "member": "binary",
    }
    assert {column.name: column.why for column in table.left_out} == {
        "id": "its 240 whole numbers look like an identifier",
        "plan": "all its values are 'basic'",
    }
    assert loaded.config.likelihood.kind == "table"
    assert loaded.examples is not None
    assert np.isnan(loaded.examples.x).any()
    lacking = {name for one in loaded.config.missing for name in one.columns}
    assert lacking == {"age", "job", "income", "member"}
    elbo = next(f for f in loaded.metrics.figures if f.name == "elbo")
    assert elbo.value < 0
    assert loaded.metrics.columns is not None
    assert [fit.name for fit in loaded.metrics.columns] == list(table.names)
    assert all(fit.marginal < 0 < fit.n_known for fit in loaded.metrics.columns)
    card = (run / "out" / "README.md").read_text(encoding="utf-8")
    assert "| income | numeric | numbers, to 1 | -" in card
    assert "Left out: plan, all its values are 'basic'." in card


@pytest.mark.slow("trains again")
def test_training_can_start_from_a_model_with_missing_cells(
    run: Path, tmp_path: Path
) -> None:
    """The head for them is fitted anew."""
    status = train.main(
        [
            *("--data", str(run / "people.csv"), "--init-from", str(run / "out")),
            *("--out", str(tmp_path / "out"), *QUICK, "--epochs", "1"),
        ]
    )

    assert status == 0
    before, after = (checkpoint.load(one / "out") for one in (run, tmp_path))
    assert after.config.missing == before.config.missing


@pytest.mark.slow("trains")
def test_scores_of_held_out_rows_are_stored(run: Path) -> None:
    """Those that `/anomaly` ranks by: of the stored examples, among the others."""
    loaded = checkpoint.load(run / "out")

    held_out = HeldOutScores.of(loaded.calibration)
    assert held_out is not None
    assert held_out.ratio is not None
    assert held_out.farthest_cell is not None
    assert loaded.examples is not None
    examples = torch.from_numpy(loaded.vae.in_model_units(loaded.examples.x))
    ratio = held_out.negative_elbo.values + log_shares(examples).numpy()
    np.testing.assert_allclose(held_out.ratio.values, ratio)
    assert held_out.ratio.settings == held_out.negative_elbo.settings
    assert loaded.vae.marginals is not None
    tails = tail_p_values(loaded.vae.marginals, examples)
    farthest = extremeness(loaded.vae.marginals, tails).amax(dim=1)
    np.testing.assert_allclose(held_out.farthest_cell.values, farthest)
    assert held_out.farthest_cell.settings.n_samples is None


@pytest.mark.slow("trains again")
def test_columns_are_written_and_can_be_given_back(run: Path, tmp_path: Path) -> None:
    """With an edited kind, and with a column left out."""
    document = json.loads((run / "out.columns.json").read_text(encoding="utf-8"))
    assert TableSchema.model_validate(document, strict=False).names[0] == "age"
    document["columns"][0]["kind"] = "count"
    del document["columns"][3]
    edited = tmp_path / "edited.json"
    edited.write_text(json.dumps(document), encoding="utf-8")

    status = train.main(
        [
            *("--data", str(run / "people.csv"), "--columns", str(edited)),
            *("--out", str(tmp_path / "out"), *QUICK),
        ]
    )

    assert status == 0
    table = checkpoint.load(tmp_path / "out").config.table
    assert table is not None
    assert table.columns[0].kind == "count"
    assert table.names == ("age", "job", "income")
    assert not (tmp_path / "out.columns.json").exists()


@pytest.mark.slow("trains three times")
def test_training_goes_on_bit_for_bit(run: Path, tmp_path: Path) -> None:
    """More epochs of a finished run end where one long run ends."""
    arguments = ["--data", str(run / "people.csv"), *QUICK, "--schedule", "constant"]
    arguments += ["--kl-warmup-epochs", "0"]
    short, whole = tmp_path / "short", tmp_path / "whole"
    assert train.main([*arguments, "--out", str(short)]) == 0
    assert train.main(["--resume", str(short), "--epochs", "5"]) == 0
    arguments[arguments.index("--epochs") + 1] = "5"
    assert train.main([*arguments, "--out", str(whole)]) == 0

    first, second = (checkpoint.load(path).vae.state_dict() for path in (short, whole))

    assert all(np.array_equal(first[k].numpy(), second[k].numpy()) for k in first)


@pytest.mark.slow("trains and evaluates")
def test_a_model_of_a_table_is_evaluated_on_its_columns(
    run: Path, tmp_path: Path
) -> None:
    """Found by name in any order; the figures are log probabilities of cells."""
    file = tmp_path / "others.csv"
    rows = [line.split(",") for line in write(file).read_text("utf-8").splitlines()]
    file.write_text("\n".join(",".join(row[::-1]) for row in rows), encoding="utf-8")

    status = evaluate.main(
        [
            *("--checkpoint", str(run / "out"), "--data", str(file), "--n", "8"),
            *("--measure", "elbo", "loglik", "--out", str(tmp_path / "figures.json")),
        ]
    )

    assert status == 0


@pytest.mark.slow("trains")
def test_an_unknown_category_is_refused_by_its_place(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """File, line, column and cell."""
    file = tmp_path / "others.csv"
    file.write_text("age,job,income,member\n20,pilot,0,True\n" * 1, encoding="utf-8")

    status = evaluate.main(["--checkpoint", str(run / "out"), "--data", str(file)])

    assert status == 2
    error = capsys.readouterr().err
    assert "line 2 of others.csv, column 'job' holds 'pilot', expected one of" in error


@pytest.mark.slow("trains twice")
def test_numbers_alone_stay_a_table_of_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless --likelihood table asks for columns of their own kinds."""
    draw = np.random.default_rng(0)
    file = tmp_path / "numbers.csv"
    np.savetxt(
        file, draw.normal(size=(60, 3)), "%.2f", ",", header="a,b,c", comments=""
    )
    arguments = ["--data", str(file), *QUICK, "--epochs", "1"]

    assert train.main([*arguments, "--out", str(tmp_path / "gaussian")]) == 0
    asked = [*arguments, "--out", str(tmp_path / "table"), "--likelihood", "table"]
    assert train.main(asked) == 0

    kinds = [
        checkpoint.load(tmp_path / name).config.likelihood.kind
        for name in ("gaussian", "table")
    ]
    assert kinds == ["gaussian", "table"]
    assert "a: numeric, numbers, to 0.01" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--likelihood", "gaussian"], "a missing value"),
        (["--network", "conv", "--hidden", "9"], "networks of kind mlp"),
        (["--columns", "no.json"], "--columns no.json cannot be read"),
    ],
)
def test_options_that_do_not_fit_a_table_are_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    what: str,
) -> None:
    """Before any training, with a sentence."""
    file = write(tmp_path / "people.csv")

    status = train.main(
        ["--data", str(file), "--out", str(tmp_path / "out"), *arguments]
    )

    assert status == 2
    assert what in capsys.readouterr().err


def test_a_table_of_columns_needs_a_header(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Columns without names cannot be found again."""
    file = write(tmp_path / "people.csv", header=False)

    status = train.main(
        ["--data", str(file), "--out", str(tmp_path / "out"), "--no-header"]
    )

    assert status == 2
    assert "needs names" in capsys.readouterr().err


SHARES = np.array([0.5, 0.3, 0.2])  # of three classes, which decide all columns
COLORS = np.array(
    [[0.8, 0.1, 0.05, 0.05], [0.1, 0.8, 0.05, 0.05], [0.1, 0.1, 0.4, 0.4]]
)
FLAGS, MEANS, SPREAD = np.array([0.1, 0.5, 0.9]), np.array([0.0, 12.0, 30.0]), 3.0


def truth(color: Codes, flag: Codes, size: Codes) -> Codes:
    """Return log p of rows of a known mixture, (N,), by adding up its classes."""
    edges = torch.from_numpy(np.stack([size - 0.5, size + 0.5])[..., None] - MEANS)
    below, above = torch.special.ndtr(edges / SPREAD).numpy()
    of_flag = np.where(flag[:, None] == 1, FLAGS, 1 - FLAGS)
    of_color = COLORS[:, color.astype(int)].T
    found: Codes = np.log((SHARES * of_color * of_flag * (above - below)).sum(axis=1))
    return found


def mixture(n: int, seed: int) -> tuple[Codes, Codes, Codes]:
    """Draw the columns of rows of the known mixture."""
    draw = np.random.default_rng(seed)
    group = draw.choice(3, n, p=SHARES)
    color = (draw.random((n, 1)) > COLORS[group].cumsum(axis=1)).sum(axis=1)
    flag = draw.random(n) < FLAGS[group]
    size = np.round(draw.normal(MEANS[group], SPREAD))
    return color.astype(float), flag.astype(float), size


@pytest.mark.slow("trains 60 epochs")
def test_a_known_mixture_is_recovered(tmp_path: Path) -> None:
    """New rows have nearly the density of the truth, and far more than marginals."""
    file, n = tmp_path / "mixture.csv", 1500
    color, flag, size = mixture(n, seed=0)
    lines = ["color,flag,size"]
    for c, f, s in zip(color, flag, size, strict=True):
        lines.append(f"{'abcd'[int(c)]},{bool(f)},{int(s)}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    status = train.main(
        [
            *("--data", str(file), "--out", str(tmp_path / "out"), *QUICK),
            *("--hidden", "32", "--epochs", "60", "--batch-size", "256"),
        ]
    )
    assert status == 0
    vae = checkpoint.load(tmp_path / "out").vae
    new = mixture(500, seed=1)

    x = torch.from_numpy(vae.in_model_units(np.stack(new, axis=1)))
    found = mean_bound(vae, x, n_samples=50, seed=0)

    wanted = truth(*new).mean()
    marginal = float(x.reshape(500, PLANES, -1)[:, LOG_SHARE].sum(dim=1).mean())
    assert marginal + 0.3 < found
    assert wanted - 0.3 < found < wanted + 0.02
