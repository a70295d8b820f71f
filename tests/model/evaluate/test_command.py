"""`python -m model.evaluate`: the figures of the service, from the command line."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from model import binarization
from model import data as data_sets
from model.evaluate import mask
from model.evaluate.command import main
from model.evaluate.options import Measure
from tests.app.served import Served
from tests.model.remote.stores import remove, upload
from tests.model.train.runs import write_images, write_table

SEED = "5"
OPTIONS: dict[str, dict[str, Any]] = {
    "elbo": {"n_samples": 7},
    "loglik": {"n_samples": 7},
    "gap": {"target": 0.02, "budget": 1024},
    "impute": {"n_draws": 50},
}
MASK = np.tri(4, dtype=int)  # of an image of 4 x 4
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Compute on one thread, as the option of the command and the service do."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def plane(checkpoints: Path) -> Iterator[Served]:
    """Serve what is measured, of two dimensions and with held-out scores."""
    with Served(checkpoints / "plane") as served:
        yield served


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of 480 gray images, 48 of them to test on."""
    return write_images(tmp_path_factory.mktemp("data") / "images.npy", n=480)


@pytest.fixture(scope="module")
def measured(
    checkpoints: Path, images: Path, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """Return what runs the command on n rows and reads what it writes."""

    def run(n: int, *measures: str) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("out")
        out, mask = folder / "figures.json", folder / "mask.npy"
        np.save(mask, MASK)
        masked = ["--mask", str(mask), "--n-draws", "50"]
        status = main(
            [
                *(masked if "impute" in measures else []),
                *("--checkpoint", str(checkpoints / "plane"), "--data", str(images)),
                *("--measure", *measures, "--n", str(n), "--n-samples", "7"),
                *("--budget", "1024", "--seed", SEED, "--threads", "1"),
                *("--device", "cpu", "--out", str(out)),
            ]
        )
        assert status == 0
        document: dict[str, Any] = json.loads(out.read_text())
        return document

    return run


@pytest.fixture(scope="module")
def found(measured: Run) -> dict[str, Any]:
    """Return what the command writes of all measures but the slow one."""
    return measured(20, *(name for name in get_args(Measure) if name != "posterior"))


@pytest.fixture(scope="module")
def integrated(measured: Run) -> dict[str, Any]:
    """Return what it writes of the posterior of two rows."""
    return measured(2, "posterior")


def gray(images: Path, n: int) -> list[list[float]]:
    """Return the first n test rows as a client would send them."""
    rows: list[list[float]] = data_sets.load(str(images)).test.x[:n].tolist()
    return rows


@pytest.mark.slow("trains and evaluates")
@pytest.mark.parametrize("measure", get_args(Measure))
def test_figures_are_those_of_the_service(
    plane: Served,
    images: Path,
    found: dict[str, Any],
    integrated: dict[str, Any],
    measure: str,
) -> None:
    """Of every measure: the same rows, seed and options over HTTP give every column."""
    document = integrated if measure == "posterior" else found
    asked = {
        "x": gray(images, document["n_examples"]),
        "seed": int(SEED),
        "binarize": "sample",
        **OPTIONS.get(measure, {}),
    }
    if measure == "impute":
        asked["mask"] = [MASK.ravel().tolist()] * document["n_examples"]

    answer = plane.post(f"/{measure}", asked).json()

    rows = document["measures"][measure]["rows"]
    assert rows.keys() == {
        name
        for name, values in answer.items()
        if isinstance(values, list) and np.ndim(values) == 1 and values != []
    }
    assert len(rows) >= (2 if measure == "impute" else 3)
    # The service answers the ELBO in float32, the analyses in float64.
    tolerance = 1e-5 if measure == "elbo" else 1e-9
    for name, values in rows.items():
        np.testing.assert_allclose(
            np.float64(values), np.float64(answer[name]), rtol=tolerance, err_msg=name
        )


@pytest.mark.slow("evaluates every measure")
def test_means_and_their_errors_are_those_of_the_rows(found: dict[str, Any]) -> None:
    """A mean, its standard error over examples, and the part of it that is noise."""
    gap = found["measures"]["gap"]
    total = np.array(gap["rows"]["total_gap"])
    errors = np.array(gap["rows"]["total_gap_standard_error"])

    figure = gap["figures"]["total_gap"]

    assert figure["mean"] == pytest.approx(total.mean())
    assert figure["standard_error"] == pytest.approx(total.std(ddof=1) / 20**0.5)
    assert figure["monte_carlo_error"] == pytest.approx(np.sqrt((errors**2).sum()) / 20)
    assert "pareto_k" not in gap["figures"]
    assert 0 <= gap["figures"]["is_reliable"]["mean"] <= 1


@pytest.mark.slow("evaluates every measure")
def test_the_file_says_what_was_measured(plane: Served, found: dict[str, Any]) -> None:
    """Checkpoint, data, split, binarization and settings are all in it."""
    assert found["sha256"] == plane.checkpoint.sha256
    assert found["dataset"] == "images"
    assert found["split"] == "test"
    assert found["n_examples"] == 20
    assert found["binarize"] == "sample"
    assert found["seed"] == 5
    assert found["units"] == "nats"
    assert found["measures"]["loglik"]["settings"] == {"n_samples": 7}
    assert found["measures"]["gap"]["settings"] == {"target": 0.02, "budget": 1024}
    ranked = {"n_samples": 4, "n_calibration": 99}
    assert found["measures"]["anomaly"]["settings"] == ranked


def test_the_table_is_for_people(
    checkpoints: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line per figure, with its mean; the validation rows by threshold, here."""
    out = tmp_path / "figures.json"
    arguments = ["--checkpoint", str(checkpoints / "bernoulli"), "--data", str(images)]
    arguments += ["--split", "validation", "--binarize", "threshold", "--n", "1"]

    status = main([*arguments, "--device", "cpu", "--threads", "1", "--out", str(out)])

    written = json.loads(out.read_text())
    head, *lines = capsys.readouterr().out.splitlines()
    shown = {line.split()[1]: line.split()[2] for line in lines}
    elbo = written["measures"]["elbo"]["figures"]["elbo"]
    assert status == 0
    assert shown.keys() == {"elbo", "log_likelihood", "kl"}
    assert float(shown["elbo"]) == pytest.approx(elbo["mean"], abs=1e-4)
    assert elbo["standard_error"] is None  # of one row
    assert written["binarize"] == "threshold"
    assert written["split"] == "validation"
    assert head.startswith("1 validation row, in nats ")


def test_a_tail_beyond_measure_is_null(checkpoints: Path, tmp_path: Path) -> None:
    """The file is valid JSON whatever a row's k-hat."""
    out = tmp_path / "figures.json"
    path = tmp_path / "far.npy"
    np.save(path, np.full((30, 5), 1e4))

    status = main(
        [
            *("--checkpoint", str(checkpoints / "gaussian"), "--data", str(path)),
            *("--measure", "loglik", "--n-samples", "2", "--device", "cpu"),
            *("--out", str(out), "--threads", "1"),
        ]
    )

    columns = json.loads(out.read_text())["measures"]["loglik"]["rows"]
    assert status == 0
    assert columns["pareto_k"] == [None] * 3
    assert "is_reliable" not in columns


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--n", "0"], "--n must be at least 1, got 0"),
        (["--n-samples", "0"], "--n-samples must be at least 1, got 0"),
        (["--budget", "255"], "--budget must be at least 256, got 255"),
        (["--target", "nan"], "--target must be at least 0, got nan"),
        (["--seed", "-1"], "--seed must lie between 0 and 2^63 - 1, got -1"),
        (["--checkpoint", "nowhere"], "no checkpoint at nowhere"),
        (["--out", "nowhere/x.json"], "there is no directory nowhere"),
        (["--out", "."], "expected a file, this is a directory"),
        (["--measure", "impute"], "--measure impute and --mask need each other"),
        (["--mask", "mask.npy"], "--measure impute and --mask need each other"),
        (["--n-draws", "0"], "--n-draws must be at least 1, got 0"),
    ],
)
def test_bad_options_are_one_line(
    checkpoints: Path,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: str,
) -> None:
    """Status 2 and what was wanted; nothing is written."""
    first = ["--checkpoint", str(checkpoints / "bernoulli"), "--data", str(images)]
    first += ["--out", str(tmp_path / "x.json")]

    status = main([*first, *options])

    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith("error: ")
    assert words in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("checkpoint", "options", "words"),
    [
        ("conv", [], "shape [4, 4], the model is for [8, 8, 2]"),
        ("gaussian", ["--table"], "shape [4], the model is for [5]"),
    ],
)
def test_data_of_another_shape_are_refused(
    checkpoints: Path,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    checkpoint: str,
    options: list[str],
    words: str,
) -> None:
    """The error names the shape of the data and that of the model."""
    data = write_table(tmp_path / "table.npy", n=30) if options else images

    status = main(["--checkpoint", str(checkpoints / checkpoint), "--data", str(data)])

    assert status == 2
    assert words in capsys.readouterr().err


def test_a_checkpoint_behind_a_url_is_measured(
    checkpoints: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the same figures; the file is in the current directory."""
    monkeypatch.setenv("VAE_CHECKPOINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    upload(checkpoints / "bernoulli", "memory://elsewhere/bernoulli")
    last = ["--data", str(images), "--binarize", "threshold"]

    local = main(["--checkpoint", str(checkpoints / "bernoulli"), *last, "--out", "it"])
    remote = main(["--checkpoint", "memory://elsewhere/bernoulli", *last])

    assert (local, remote) == (0, 0), capsys.readouterr().err
    written = (tmp_path / "bernoulli.evaluation.json").read_bytes()
    assert written == (tmp_path / "it").read_bytes()
    remove("memory://elsewhere")


def test_values_on_another_scale_are_refused(
    checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model of 8-bit images is not measured on floats that were never divided."""
    path = tmp_path / "bytes.npy"
    np.save(path, np.full((30, 4, 4), 255.0))

    status = main(["--checkpoint", str(checkpoints / "bernoulli"), "--data", str(path)])

    assert status == 2
    assert (
        "row 0 of bytes.npy, position [0, 0] holds 255.0; expected a value in [0, 1]; "
        "looks like 0-255: send uint8, or divide by 255"
    ) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("checkpoint", "options", "words"),
    [
        ("bernoulli", ["posterior"], "needs 1 or 2 latent dimensions, got 3"),
        ("bernoulli", ["anomaly"], "needs a checkpoint with held-out scores"),
        (
            "plane",
            ["anomaly", "--binarize", "threshold"],
            "needs rows binarized as the held-out ones (static), got --binarize thresh",
        ),
    ],
)
def test_a_measure_that_the_checkpoint_cannot_have_is_refused(
    checkpoints: Path,
    images: Path,
    capsys: pytest.CaptureFixture[str],
    checkpoint: str,
    options: list[str],
    words: str,
) -> None:
    """As the service refuses it: dimensions, and what rows are ranked among."""
    arguments = ["--checkpoint", str(checkpoints / checkpoint), "--data", str(images)]

    status = main([*arguments, "--measure", *options])

    assert status == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((4, 4), 2), "expected 1 where x is known, 0 where not"),
        (np.ones((3, 4)), "expected the shape [4, 4], or one mask for each of 48 rows"),
        (np.ones((47, 16)), "of 48 rows, got [47, 16]"),
        (np.array([None]), "expected a .npy file"),
    ],
)
def test_a_mask_that_is_none_is_refused(
    checkpoints: Path,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    values: np.ndarray,
    words: str,
) -> None:
    """The error says what was wanted and what came."""
    path = tmp_path / "mask.npy"
    np.save(path, values)
    arguments = ["--checkpoint", str(checkpoints / "bernoulli"), "--data", str(images)]

    status = main([*arguments, "--measure", "impute", "--mask", str(path)])

    assert status == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(4, 4), (16,), (48, 4, 4), (48, 16)])
def test_a_mask_is_of_an_example_or_of_each(tmp_path: Path, shape: Any) -> None:
    """Flat or shaped; what is of one example is of all."""
    known = np.random.default_rng(0).integers(0, 2, shape)
    np.save(tmp_path / "mask.npy", known)

    found = mask.read(tmp_path / "mask.npy", data_shape=(4, 4), n_rows=48)

    assert found.shape == (48, 16)
    assert np.array_equal(found, np.broadcast_to(known.reshape(-1, 16), (48, 16)) == 1)


def test_binarizing_needs_a_bernoulli_model(
    checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--binarize with a Gaussian model is an error that names its likelihood."""
    path = tmp_path / "table.npy"
    np.save(path, np.random.default_rng(0).random((30, 5)))

    status = main(
        [
            *("--checkpoint", str(checkpoints / "gaussian"), "--data", str(path)),
            *("--binarize", "sample"),
        ]
    )

    assert status == 2
    assert "this one's likelihood is gaussian" in capsys.readouterr().err


def test_drawn_rows_are_those_of_the_whole_split(images: Path) -> None:
    """The first n rows binarized alone are the first n of all of them."""
    x = data_sets.load(str(images)).test.x

    assert np.array_equal(
        binarization.sample(x[:20], seed=5), binarization.sample(x, seed=5)[:20]
    )
