"""The engine: its numbers are the model's, and its bits depend on the row alone."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from model import checkpoint
from model.config import Mlp
from model.elbo import elbo
from model.engine import TILE, Array, Backend, Engine, EngineError
from model.engine.probe import Probe, probe
from tests.model.tables.tables import MIXED, mixed_codes, model
from tests.tiny import save_tiny, tiny_config, tiny_vae

KINDS = ("bernoulli", "gaussian", "conv", "linear")
WIDE = Mlp(kind="mlp", hidden=(100,), activation="tanh")
BACKENDS: tuple[Backend, ...] = ("onnx", "torch")


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Name each library in turn."""
    name: Backend = request.param
    return name


@pytest.fixture(scope="module", params=KINDS)
def engine(
    request: pytest.FixtureRequest, checkpoints: Path, backend: Backend
) -> Engine:
    """Load each kind of model in each library."""
    path = checkpoints / request.param
    return Engine.load(path, device="cpu", backend=backend, n_threads=1)


@pytest.fixture(scope="module")
def rows(engine: Engine) -> Probe:
    """Return data, latents and noise for three tiles."""
    return probe(engine.checkpoint.vae, 3 * TILE)


def outputs(engine: Engine, rows: Probe, part: slice) -> list[Array]:
    """Return all that the engine says of some rows."""
    x, z, noise = rows.x[part], rows.z[part], rows.noise[part]
    eps = np.stack([z, -z, 2 * z], axis=1)  # (N, K, J)
    found = (
        *engine.encode(x),
        *engine.decode(z),
        engine.draw(z, noise),
        *engine.score(x, eps),
    )
    return [array for array in found if array is not None]


def test_answers_are_those_of_the_model(engine: Engine, rows: Probe) -> None:
    """Every library gives what the model gives, to float32; x comes in data units."""
    vae = engine.checkpoint.vae
    x, z = torch.from_numpy(rows.x), torch.from_numpy(rows.z)

    encoding, decoding = engine.encode(rows.x), engine.decode(rows.z)
    scores = engine.score(rows.x, rows.z[:, None])
    drawn = engine.draw(rows.z, rows.noise)

    bound = elbo(vae, x, eps=z[None])
    assert bound.kl_per_dim is not None
    for got, want, tolerance in (
        (encoding.mu, vae.encode(x).mu, 1e-5),
        (encoding.log_var, vae.encode(x).log_var, 1e-5),
        (engine.in_model_units(decoding.mean), vae.decode(z).mean, 1e-5),
        (scores.log_likelihood[:, 0], bound.log_likelihood, 1e-3),  # a sum of many
        (scores.kl, bound.kl_per_dim, 1e-5),
    ):
        assert np.allclose(got, want.numpy(), rtol=1e-5, atol=tolerance)
    close = np.isclose(engine.in_model_units(drawn), rows.x, atol=1e-4)
    assert np.mean(close) > 0.999  # ties at a threshold
    wide = np.float32 if engine.units is None else np.float64
    assert decoding.mean.dtype == drawn.dtype == wide


@pytest.mark.slow("computes in many batches")
@pytest.mark.parametrize(
    "part", [slice(0, 1), slice(1, 2), slice(37, 40), slice(100, 283)]
)
def test_bits_do_not_depend_on_company_or_position(
    engine: Engine, rows: Probe, part: slice
) -> None:
    """A row's bytes are the same alone, among any others and at every position."""
    together = outputs(engine, rows, slice(None))

    alone = outputs(engine, rows, part)

    for got, want in zip(alone, together, strict=True):
        assert got.tobytes() == want[part].tobytes()


def test_the_engine_says_that_it_proved_it(engine: Engine) -> None:
    """Batch invariance is measured on this machine, and the engine says the result."""
    assert engine.batch_invariant


def test_the_best_backend_is_chosen(checkpoints: Path) -> None:
    """On a CPU, ONNX Runtime computes unless an option says otherwise."""
    engine = Engine.load(
        checkpoints / "bernoulli", device="cpu", backend="auto", n_threads=1
    )

    assert engine.backend == "onnx"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_device_is_told(checkpoints: Path) -> None:
    """Asking for a GPU that is not there is an error, not a slow service."""
    with pytest.raises(EngineError, match="torch finds no CUDA device"):
        Engine.load(
            checkpoints / "bernoulli", device="cuda", backend="auto", n_threads=1
        )


def test_read_only_input_is_not_written_to(checkpoints: Path) -> None:
    """Arrays that view a request's body are read as they are."""
    engine = Engine.load(
        checkpoints / "bernoulli", device="cpu", backend="auto", n_threads=1
    )
    x = np.frombuffer(np.ones((3, 16), np.float32).tobytes(), np.float32)

    encoding = engine.encode(x.reshape(3, 16))

    assert encoding.mu.shape == (3, engine.config.latent_dim)


def test_the_checkpoint_is_checked(tmp_path: Path) -> None:
    """What cannot be verified is not served."""
    with pytest.raises(checkpoint.CheckpointError, match="no such directory"):
        Engine.load(tmp_path / "none", device="cpu", backend="auto", n_threads=1)


@pytest.mark.slow("loads a model of a table")
def test_draws_for_cells_do_not_depend_on_other_rows(tmp_path: Path) -> None:
    """Several draws of a row of a table, in batches of five rows and of all."""
    save_tiny(tmp_path / "table", model(MIXED, mixed_codes()))
    engine = Engine.load(tmp_path / "table", device="cpu", backend="onnx", n_threads=1)
    x = engine.in_model_units(mixed_codes(2500, seed=3)[300:620])
    eps = np.random.default_rng(0).standard_normal((2500, 3, 2)).astype(np.float32)
    eps = eps[300:620]

    whole = engine.score(x, eps).log_likelihood
    parts = [
        engine.score(x[i : i + 5], eps[i : i + 5]).log_likelihood
        for i in range(0, len(x), 5)
    ]

    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("n", [5, 33, TILE])
def test_the_first_rows_of_a_thread_have_the_same_bits(tmp_path: Path, n: int) -> None:
    """A new thread computes with as many threads of torch as the one that loads."""
    config = tiny_config("bernoulli", data_shape=(784,), network=WIDE, latent_dim=20)
    path = save_tiny(tmp_path / "wide", tiny_vae(config))
    engine = Engine.load(path, device="cpu", backend="torch", n_threads=1)
    rows = probe(engine.checkpoint.vae, n)
    here = outputs(engine, rows, slice(n))

    with ThreadPoolExecutor(1) as thread:
        there = thread.submit(outputs, engine, rows, slice(n)).result()

    assert [a.tobytes() for a in there] == [a.tobytes() for a in here]


def test_two_engines_of_one_process_keep_their_numbers_of_threads(
    checkpoints: Path,
) -> None:
    """Each computes with its own number, whichever has been loaded last."""
    path, numbers = checkpoints / "plane", []
    engines = [
        Engine.load(path, device="cpu", backend="torch", n_threads=n) for n in (1, 2)
    ]
    z = np.zeros((1, 2), np.float32)

    for engine in engines:
        engine.decode(z)
        numbers.append(torch.get_num_threads())

    assert numbers == [1, 2]
    torch.set_num_threads(1)
