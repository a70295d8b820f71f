"""The released model of penguins is what its card says, and answers rows by name."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from model import checkpoint
from model.checkpoint import Checkpoint
from model.checkpoint.held_out import evenly
from model.elbo import elbo
from model.noise import Stream, standard_normal
from tests.app.served import Served, assert_problem
from tests.released import figure

ROOT = Path(__file__).parent.parent
RELEASED = ROOT / "released" / "penguins"
CSV = ROOT / "examples" / "penguins.csv"
KILOBYTES = 600
# A female Gentoo of average measures; penguins of its species live on one island.
GENTOO = {
    "species": "Gentoo",
    "sex": "female",
    "bill_length_mm": 45.5,
    "flipper_length_mm": 213,
}


@pytest.fixture(scope="module")
def released() -> Checkpoint:
    """Return the checkpoint, verified as the service verifies it."""
    return checkpoint.load(RELEASED)


@pytest.fixture(scope="module")
def penguins() -> Iterator[Served]:
    """Serve it, as `make serve CHECKPOINT=released/penguins` does."""
    with Served(RELEASED) as served:
        yield served


def cells(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV by the names of its columns."""
    return list(csv.DictReader(io.StringIO(text)))


def test_make_penguins_is_the_command_that_made_it(released: Checkpoint) -> None:
    """The Makefile has its command, and so has the card, without further options."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = " ".join(makefile.replace("\\\n", " ").split())
    words = released.manifest.provenance.command
    command = " ".join(words)

    assert f"{command.removeprefix('python ')} $(ARGS)" in recipe
    assert command in (RELEASED / "README.md").read_text(encoding="utf-8")
    assert (ROOT / words[words.index("--data") + 1]) == CSV


def test_it_holds_all_that_was_written_and_nothing_else(released: Checkpoint) -> None:
    """Every file is listed with its hash, and the whole is small."""
    found = {path.name for path in RELEASED.iterdir()}
    sizes = sum(path.stat().st_size for path in RELEASED.iterdir())

    assert found == {*released.manifest.files, checkpoint.MANIFEST}
    assert sizes < KILOBYTES * 1024


def test_it_names_no_folder_of_the_machine_that_trained_it() -> None:
    """Paths in it are those of the repository."""
    roots = (b"/home", b"/root", b"/tmp", b"/work", b"/Users", b"C:\\")

    for path in RELEASED.iterdir():
        if path.suffix in {".json", ".jsonl", ".md"}:
            assert not [root for root in roots if root in path.read_bytes()], path


def test_its_columns_are_those_of_the_file(released: Checkpoint) -> None:
    """Every column is used, with the kind that its cells have."""
    table = released.config.table
    assert table is not None

    kinds = {column.name: column.kind for column in table.columns}

    assert list(kinds) == CSV.read_text(encoding="utf-8").splitlines()[0].split(",")
    assert [name for name in kinds if kinds[name] == "numeric"] == [
        "bill_length_mm",
        "bill_depth_mm",
        "flipper_length_mm",
        "body_mass_g",
    ]
    assert kinds["sex"] == "binary"
    assert {kinds["species"], kinds["island"], kinds["year"]} == {"categorical"}


def test_its_card_states_the_bar_that_was_set(released: Checkpoint) -> None:
    """The test ELBO reaches -20.5 nats a row within two of its standard errors."""
    found = figure(released, "elbo", "test")

    assert found.standard_error is not None
    assert found.value + 2 * found.standard_error >= -20.5
    assert (found.n_examples, found.n_samples) == (34, 16)


def test_its_scores_are_the_figure_of_its_card(released: Checkpoint) -> None:
    """The mean of the held-out scores is minus the validation ELBO."""
    assert released.calibration is not None
    scores = released.calibration.scores["negative_elbo"]

    found = figure(released, "elbo", "validation")

    assert len(scores.values) == found.n_examples
    assert abs(scores.values.mean() + found.value) < 1e-6


def test_each_example_measured_again_has_its_score(released: Checkpoint) -> None:
    """
    The weights give every stored row the ELBO that training wrote down for it.

    Row i of the validation rows has the i-th (K, J) of the noise; what is left is the
    rounding of float32.
    """
    assert released.calibration is not None
    assert released.examples is not None
    scores, x = released.calibration.scores["negative_elbo"], released.examples.x
    n, settings = len(scores.values), scores.settings
    assert settings.n_samples is not None
    assert settings.noise_seed is not None
    eps = standard_normal(
        (n, settings.n_samples, released.config.latent_dim),
        seed=settings.noise_seed,
        stream=Stream.LATENT,
    )[evenly(n, len(x))]

    with torch.inference_mode():
        bound = elbo(
            released.vae,
            torch.from_numpy(released.vae.in_model_units(x)),
            eps=torch.from_numpy(eps).transpose(0, 1),
        )

    measured = (bound.log_likelihood - bound.kl).double().numpy()
    assert np.abs(measured + scores.values[evenly(n, len(x))]).max() < 1e-3


def test_the_file_of_its_training_goes_in_as_it_is(penguins: Served) -> None:
    """All 344 rows with their words and gaps have an ELBO, at most 0."""
    response = penguins.post_raw(
        "/elbo?seed=1", CSV.read_bytes(), {"content-type": "text/csv"}
    )

    bounds = np.array(response.json()["elbo"])
    assert bounds.shape == (344,)
    assert np.all(bounds < 0)


@pytest.mark.slow("imputes rows")
def test_a_penguin_with_gaps_is_filled_in(penguins: Served) -> None:
    """Known cells stay; the island is certain, the mass that of a female Gentoo."""
    rows = [GENTOO | {"body_mass_g": None}]

    response = penguins.post("/impute", {"x": rows, "seed": 1, "orient": "records"})

    [mean] = response.json()["mean"]
    assert {name: mean[name] for name in GENTOO} == GENTOO
    assert mean["island"] == "Biscoe"
    # Rows of that species and sex have a mean of 4,680 g and a deviation of 282 g.
    assert 4398 < mean["body_mass_g"] < 4962
    assert response.json()["is_reliable"] == [True]
    assert "year" in response.headers["vae-warning"]


@pytest.mark.slow("imputes 67 rows one at a time")
def test_a_species_is_recognized_by_measures(penguins: Served) -> None:
    """Of the rows of the file whose species is hidden, 19 of 20 get their own."""
    rows = [row for row in cells(CSV.read_text("utf-8")) if row["sex"] != "NA"][::5]
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, [*rows[0]])
    writer.writeheader()
    writer.writerows(row | {"species": "", "island": ""} for row in rows)

    response = penguins.post_raw(
        "/impute?seed=1&n_draws=64",
        file.getvalue().encode(),
        {"content-type": "text/csv"},
    )

    assert response.status_code == 200, response.text
    codes = [int(row[0]) for row in response.json()["mean"]]
    named = [("Adelie", "Chinstrap", "Gentoo")[code] for code in codes]
    n_right = sum(name == row["species"] for name, row in zip(named, rows, strict=True))
    assert n_right >= 0.95 * len(rows)


@pytest.mark.slow("draws rows and estimates the evidence of eight")
def test_what_it_draws_can_be_sent_back(penguins: Served) -> None:
    """Samples in CSV have the columns of the file, and only cells that it can have."""
    drawn = penguins.get(
        "/sample?n=200&seed=7&draw=sample", headers={"accept": "text/csv"}
    )

    back = penguins.post_raw(
        "/loglik?seed=1",
        b"\r\n".join(drawn.content.splitlines()[:9]),
        {"content-type": "text/csv"},
    )

    rows = cells(drawn.text)
    assert len(rows) == 200
    assert {row["species"] for row in rows} == {"Adelie", "Chinstrap", "Gentoo"}
    assert {row["year"] for row in rows} == {"2007", "2008", "2009"}
    assert len(back.json()["log_p_x"]) == 8


def test_a_species_that_does_not_fit_is_to_blame(penguins: Served) -> None:
    """A Gentoo that is called an Adelie: every cell is possible, but not together."""
    other = GENTOO | {"island": "Biscoe", "bill_depth_mm": 14.2, "body_mass_g": 4700}

    found = penguins.post(
        "/anomaly", {"x": [other, other | {"species": "Adelie"}], "seed": 1}
    ).json()

    assert found["why_null"] is None
    as_it_is, as_an_adelie = found["ratio_p_value"]
    assert as_it_is > 0.2
    assert as_an_adelie < 0.06
    assert found["columns"][found["blame_order"][1][0]] == "species"
    assert min(found["tail_p_value"]) > 0.2


def test_a_mass_out_of_range_is_to_blame(penguins: Served) -> None:
    """It is farther out than any cell of the held-out rows."""
    rows = [GENTOO | {"body_mass_g": 9700}]

    found = penguins.post("/anomaly", {"x": rows, "seed": 1}).json()

    assert found["tail_p_value"] == [1 / (1 + found["n_calibration"])]
    assert found["columns"][found["blame_order"][0][0]] == "body_mass_g"


def test_an_unknown_species_is_refused_by_name(penguins: Served) -> None:
    """The error has the place, the word and those that the model knows."""
    response = penguins.post("/encode", {"x": [GENTOO | {"species": "Emperor"}]})

    problem = assert_problem(response, 422)
    assert problem["errors"][0]["pointer"] == "/x/0/species"
    assert "'Emperor'" in problem["detail"]
    assert "'Adelie', 'Chinstrap', 'Gentoo'" in problem["detail"]
