"""Training, evaluation, service and client give the same model in any units."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from model import checkpoint
from model.checkpoint.held_out import MAX_EXAMPLES
from model.evaluate.command import main as evaluate
from model.train.command import main as train
from model.units import Units
from model.vae import VAE
from tests.app.processes import process
from tests.app.served import Served
from tests.tiny import calibrated, save_tiny, tiny_config, tiny_vae
from vae_client import Client

# Every column of a table in another unit and with another zero, in spreads.
SCALES = np.repeat([1e-12, 1e-7, 1e-3, 1.0, 1e4, 1e12], 5)
OFFSETS = np.tile([0.0, 1.0, -1e3, 1e6, -1e6], 6)
D, N = len(SCALES), 12
U = np.random.default_rng(2).standard_normal((N, D))
X = SCALES * (U + OFFSETS)
LOG_JACOBIAN = -np.log(SCALES).sum()
FORMATS = Path(__file__).parent / "formats"
NPY, TENSORS = "application/x-npy", "application/vnd.safetensors"


class Pair(NamedTuple):
    """One model in plain units, and the same in units of every size."""

    plain: Served
    scaled: Served


def written(directory: Path, x: NDArray[np.float64]) -> Path:
    """Write a model with weights that are always the same, and the units of x."""
    vae: VAE = tiny_vae(tiny_config("gaussian", data_shape=(D,)))
    assert vae.standardization is not None
    vae.standardization.set(Units.of_rows(x, shared=False))
    # Scores that both models rank by, each in its units.
    return save_tiny(
        directory,
        vae,
        calibrated(np.linspace(30, 90, 99) - vae.log_jacobian, binarization="none"),
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Serve both models."""
    root = tmp_path_factory.mktemp("units")
    with (
        Served(written(root / "plain", U)) as plain,
        Served(written(root / "scaled", X)) as scaled,
    ):
        yield Pair(plain, scaled)


def npy(x: NDArray[Any]) -> bytes:
    """Return an array as a file."""
    file = io.BytesIO()
    np.save(file, x)
    return file.getvalue()


def asked(
    served: Served, url: str, x: NDArray[np.float64], form: str, **more: Any
) -> dict[str, NDArray[Any]]:
    """Send x in one format, and return the arrays of the response in the same."""
    query = "&".join(f"{k}={v}" for k, v in more.items())
    if form == "json":
        response = served.post(url, {"x": x.tolist(), **more})
        assert response.status_code == 200, response.text
        members = response.json()
        return {k: np.array(v) for k, v in members.items() if isinstance(v, list)}
    body, kind = (npy(x), NPY) if form == "npy" else (save({"x": x}), TENSORS)
    headers = {"content-type": kind, "accept": TENSORS}
    response = served.post_raw(f"{url}?{query}", body, headers)
    assert response.status_code == 200, response.text
    return load(response.content)


@pytest.mark.parametrize("form", ["json", "npy", "safetensors"])
def test_codes_and_bounds_do_not_depend_on_units(pair: Pair, form: str) -> None:
    """Those of the ELBO apart from the Jacobian, to 1e-5."""
    plain = asked(pair.plain, "/encode", U, form)
    scaled = asked(pair.scaled, "/encode", X, form)
    bound = asked(pair.plain, "/elbo", U, form, seed=3, n_samples=5)
    in_units = asked(pair.scaled, "/elbo", X, form, seed=3, n_samples=5)

    for name in ("mu", "log_var"):
        np.testing.assert_allclose(scaled[name], plain[name], atol=1e-5)
    moved = np.log(Units.of_rows(X, shared=False).scale).sum()
    moved -= np.log(Units.of_rows(U, shared=False).scale).sum()
    for name in ("elbo", "log_likelihood"):
        assert in_units[name].dtype == np.float64
        np.testing.assert_allclose(in_units[name] + moved, bound[name], atol=1e-5)
    np.testing.assert_allclose(in_units["kl"], bound["kl"], atol=1e-5)


@pytest.mark.parametrize("form", ["json", "npy", "safetensors"])
def test_answers_in_data_units_are_float64(pair: Pair, form: str) -> None:
    """Float32 could not tell values apart that differ by less than their spread."""
    plain = asked(pair.plain, "/reconstruct", U, form)["x"]
    scaled = asked(pair.scaled, "/reconstruct", X, form)["x"]

    assert scaled.dtype == np.float64
    np.testing.assert_allclose(scaled / SCALES - OFFSETS, plain, atol=1e-5)


def test_a_response_in_npy_is_float64(pair: Pair) -> None:
    """As in the other formats."""
    headers = {"content-type": "application/json", "accept": NPY}
    drawn = pair.scaled.post_raw("/sample", b'{"n": 3, "seed": 1}', headers)
    plain = pair.plain.post("/sample", {"n": 3, "seed": 1}).json()["x"]

    x = np.load(io.BytesIO(drawn.content))
    assert x.dtype == np.float64
    np.testing.assert_allclose(x / SCALES - OFFSETS, plain, atol=1e-5)


def test_records_by_name_are_standardized_too() -> None:
    """Rows of a table, with the missing values of an imputation."""
    names, x = ("height", "weight"), [[0.1, 2.5], [-3.25, 7.0]]
    records = [dict(zip(names, row, strict=True)) for row in x]
    mask = [[1, 0], [0, 1]]
    by_name = [{"height": 1, "weight": 0}, {"weight": 1, "height": 0}]
    with Served(FORMATS / "version_2" / "columns") as served:
        for url, more in (("/encode", {}), ("/elbo", {"seed": 1})):
            wanted = served.post(url, {"x": x, **more}).json()
            assert served.post(url, {"x": records, **more}).json() == wanted
        wanted = served.post("/impute", {"x": x, "mask": mask, "seed": 1}).json()
        asked = {"x": records, "mask": by_name, "seed": 1}
        assert served.post("/impute", asked).json() == wanted
    assert np.array(wanted["mean"])[[0, 1], [0, 1]].tolist() == [0.1, 7.0]


def test_means_variances_and_draws_are_in_data_units(pair: Pair) -> None:
    """Of every call that returns them."""
    z = np.random.default_rng(0).standard_normal((4, 3)).tolist()
    spread = Units.of_rows(X, shared=False).scale
    spread /= Units.of_rows(U, shared=False).scale
    for url, body, names in (
        ("/decode", {"z": z}, ("mean",)),
        ("/sample", {"n": 3, "seed": 1}, ("x",)),
        ("/sample", {"n": 3, "seed": 1, "draw": "sample"}, ("x",)),
        ("/interpolate", {"z": z[:2], "n": 3}, ("mean",)),
        ("/traverse", {"z": z[:1], "n": 3}, ("mean",)),
    ):
        plain = pair.plain.post(url, body).json()
        scaled = pair.scaled.post(url, body).json()
        for name in names:
            got = np.array(scaled[name]) / SCALES - OFFSETS
            np.testing.assert_allclose(got, plain[name], atol=1e-5)
    log_var = pair.scaled.post("/decode", {"z": z}).json()["log_var"]
    plain = pair.plain.post("/decode", {"z": z}).json()["log_var"]
    np.testing.assert_allclose(log_var - 2 * np.log(spread), plain, atol=1e-5)


@pytest.mark.slow("runs analyses on two models")
def test_analyses_do_not_depend_on_units(pair: Pair) -> None:
    """Densities apart from the Jacobian; imputed values in the units of the data."""
    rows = slice(0, 2)
    mask = (np.arange(2 * D).reshape(2, D) % 3 > 0).astype(int)
    known = mask == 1
    log_scale = np.log(Units.of_rows(X, shared=False).scale)
    log_scale -= np.log(Units.of_rows(U, shared=False).scale)
    whole = log_scale.sum()

    def ask(url: str, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        found = []
        for served, x in ((pair.plain, U), (pair.scaled, X)):
            response = served.post(url, {"x": x[rows].tolist(), "seed": 1, **options})
            assert response.status_code == 200, response.text
            found.append(response.json())
        return found[0], found[1]

    plain, scaled = ask("/loglik", n_samples=50)
    np.testing.assert_allclose(
        np.array(scaled["log_p_x"]) + whole, plain["log_p_x"], atol=1e-4
    )
    plain, scaled = ask("/refine")
    for name in ("elbo_before", "elbo_after"):
        got = np.array(scaled[name]) + whole
        np.testing.assert_allclose(got, plain[name], atol=1e-3)
    plain, scaled = ask("/anomaly")
    got = np.array(scaled["negative_elbo"]) - whole
    np.testing.assert_allclose(got, plain["negative_elbo"], atol=1e-4)
    assert scaled["p_value_upper"] == plain["p_value_upper"]
    per_dim = np.array(scaled["surprise_per_dim"]) - log_scale
    np.testing.assert_allclose(per_dim, plain["surprise_per_dim"], atol=1e-4)
    plain, scaled = ask("/impute", mask=mask.tolist(), n_draws=50)
    mean = np.array(scaled["mean"])
    np.testing.assert_array_equal(mean[known], X[rows][known])
    got = (mean / SCALES - OFFSETS)[~known]
    np.testing.assert_allclose(got, np.array(plain["mean"])[~known], atol=1e-3)
    for name, scale in (
        ("mean_standard_error", SCALES),
        ("variance_standard_error", np.square(SCALES)),
    ):
        got = np.array(scaled[name]) / scale
        np.testing.assert_allclose(got, plain[name], rtol=1e-2, atol=1e-6)
    got = np.array(scaled["log_p_observed"]) + known @ log_scale
    np.testing.assert_allclose(got, plain["log_p_observed"], atol=1e-3)
    samples = np.array(scaled["samples"])[:, 0]
    np.testing.assert_array_equal(samples[known], X[rows][known])


def test_what_a_model_answers_it_reads(pair: Pair) -> None:
    """Its own draws, and the examples of its documentation."""
    drawn = pair.scaled.post("/sample", {"n": 3, "seed": 1, "draw": "sample"}).json()
    paths = pair.scaled.get("/openapi.json").json()["paths"]
    examples = paths["/elbo"]["post"]["requestBody"]["content"]["application/json"]

    assert pair.scaled.post("/elbo", {"x": drawn["x"]}).status_code == 200
    (example,) = examples["examples"].values()
    response = pair.scaled.post("/elbo", example["value"])
    assert response.status_code == 200, response.text


@pytest.mark.slow("starts a service")
def test_the_client_loses_no_digit(tmp_path: Path) -> None:
    """It sends float64 as it is, and returns what comes."""
    path = written(tmp_path / "scaled", X)
    with process({"VAE_CHECKPOINT": str(path)}) as (address, _), Client(address) as one:
        encoded = one.encode(X)
        listed = one.encode(X.tolist())
        rebuilt = one.reconstruct(X)

    plain = tiny_vae(tiny_config("gaussian", data_shape=(D,)))
    assert plain.standardization is not None
    plain.standardization.set(Units.of_rows(U, shared=False))
    with Served(save_tiny(tmp_path / "plain", plain)) as served:
        wanted = asked(served, "/encode", U, "json")["mu"]
    np.testing.assert_allclose(encoded.mu, wanted, atol=1e-5)
    np.testing.assert_array_equal(listed.mu, encoded.mu)
    assert rebuilt.x.dtype == np.float64


def trained(directory: Path, x: NDArray[np.float64]) -> dict[str, Any]:
    """Train on a table, measure the checkpoint, and return the figures of its card."""
    np.save(directory / "table.npy", x)
    out = directory / "run"
    options = ["--data", str(directory / "table.npy")]
    arguments = ["--likelihood", "gaussian", "--hidden", "8", "--latent-dim", "2"]
    more = ["--epochs", "3", "--batch-size", "16", "--threads", "1", "--out", str(out)]
    assert train([*options, *arguments, *more]) == 0
    file = directory / "evaluation.json"
    assert evaluate(["--checkpoint", str(out), *options, "--out", str(file)]) == 0
    loaded = checkpoint.load(out)
    figures = {(f.name, f.split): f.value for f in loaded.metrics.figures}
    measured = json.loads(file.read_bytes())["measures"]["elbo"]["figures"]
    return {
        "test": figures["elbo", "test"] - loaded.vae.log_jacobian,
        "measured": measured["elbo"]["mean"] - loaded.vae.log_jacobian,
        "loaded": loaded,
    }


@pytest.mark.slow("trains twice")
def test_training_does_not_depend_on_units(tmp_path: Path) -> None:
    """Weights and figures are those of the plain table, to 1e-5."""
    draw = np.random.default_rng(4)
    u = draw.standard_normal((80, 2)) @ draw.standard_normal((2, D))
    u += 0.3 * draw.standard_normal((80, D))
    for name in ("plain", "scaled"):
        (tmp_path / name).mkdir()

    plain = trained(tmp_path / "plain", u)
    scaled = trained(tmp_path / "scaled", SCALES * (u + OFFSETS))

    assert scaled["test"] == pytest.approx(plain["test"], abs=1e-5)
    assert scaled["measured"] == pytest.approx(scaled["test"], abs=1e-6)
    weights, others = (r["loaded"].vae.state_dict() for r in (plain, scaled))
    for name, weight in weights.items():
        if not name.startswith("standardization."):
            np.testing.assert_allclose(others[name], weight, atol=1e-5)
    examples = scaled["loaded"].examples
    assert examples is not None
    assert examples.x.dtype == np.float64
    assert len(examples.x) <= MAX_EXAMPLES
