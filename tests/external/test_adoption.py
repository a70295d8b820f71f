import math
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from model import checkpoint
from model.config import Config
from model.engine import Engine
from model.inference import analyses
from model.inference.columns import columns_by_name
from model.noise import Stream, standard_normal
from model.vae import VAE, empty
from tests.external import trainings

pytestmark = pytest.mark.external

ROOT = Path(__file__).parents[2]
FRAMEWORKS = Path(os.environ.get("EXTERNAL_FRAMEWORKS", "nowhere"))
SECONDS = 600
N_TRAINED, N, K, J = 2000, 16, 4, 20


@dataclass(frozen=True)
class Training:
    """
    A model of another framework.

    Attributes:
        environment: Where it is trained.
        program: What comes before and behind the lines of the documentation.
        options: Of its adoption.
        shift: log p(x|z) is minus the loss of the reconstruction, plus this.
    """

    environment: str
    program: tuple[str, str]
    options: tuple[str, ...] = ("--likelihood", "bernoulli")
    shift: float = 0.0


GAUSSIAN = ("--likelihood", "gaussian", "--sigma", "0.7071067811865476")
TRAININGS = {
    "the example of MNIST": Training("torch", trainings.MNIST_EXAMPLE),
    "convolutions": Training("torch", trainings.CONVOLUTIONS),
    # sum (x - y)^2 without a half: sigma^2 = 1/2, whose density has a constant.
    "a squared error": Training(
        "torch",
        trainings.SQUARED_ERROR,
        (*GAUSSIAN, "--decoder-outputs", "mean=reconstruction"),
        shift=-0.5 * 784 * math.log(math.pi),
    ),
    "keras": Training(
        "keras",
        trainings.KERAS,
        ("--likelihood", "bernoulli", "--encoder-outputs", "mu=0", "log_var=1"),
    ),
    "jax": Training("jax", trainings.JAX),
    "pythae": Training("pythae", trainings.PYTHAE),
}


def documented(framework: str) -> str:
    """Return the lines of the documentation that export from a framework."""
    page = (ROOT / "docs" / "your-own-model.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {framework} -->\n```python\n(.*?)```", page, re.DOTALL)
    assert found is not None
    return found[1]


def run(command: Sequence[str | Path], folder: Path) -> None:
    """Run a command."""
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]


@dataclass(frozen=True)
class Adopted:
    """What was trained elsewhere, what it computed there, and what is served."""

    training: Training
    folder: Path
    engine: Engine
    eps: np.ndarray

    def saved(self, name: str) -> np.ndarray:
        """Return what the framework computed, a row per example."""
        values: np.ndarray = np.load(self.folder / f"{name}.npy")
        return values if values.ndim == 1 else values.reshape(len(values), -1)


@pytest.fixture(scope="module", params=TRAININGS)
def adopted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Adopted:
    """Train in the framework, export as documented, adopt and load."""
    training = TRAININGS[request.param]
    python = FRAMEWORKS / training.environment / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{training.environment} is absent: make test-frameworks")
    folder = tmp_path_factory.mktemp("training")
    drawn = Engine.load(
        ROOT / "released" / "mnist", device="cpu", backend="onnx", n_threads=1
    )
    z = drawn.latents(N_TRAINED, seed=1, temperature=1.0)
    noise = np.random.default_rng(0).random((N_TRAINED, 784), np.float32)
    np.save(folder / "x.npy", drawn.draw(z, noise))
    eps = standard_normal((N, K, J), seed=3, stream=Stream.LATENT)
    np.save(folder / "eps.npy", eps)
    before, behind = training.program
    lines = documented(training.environment)
    if training.program is trainings.CONVOLUTIONS:  # it exports its encoder itself
        lines = re.sub(r"^export\(Encoder.*\n", "", lines, flags=re.MULTILINE)
    program = before + lines + behind
    (folder / "program.py").write_text(program, encoding="utf-8")
    run([python, "program.py"], folder)
    run(
        [
            *(sys.executable, "-m", "model.adopt", *training.options),
            *("--encoder", folder / "encoder.onnx"),
            *("--decoder", folder / "decoder.onnx"),
            *("--expect", folder / "rows.npy", folder / "mu.npy", folder / "x_hat.npy"),
            *("--data-shape", "28", "28", "--out", folder / "mine"),
        ],
        ROOT,
    )
    engine = Engine.load(folder / "mine", device="cpu", backend="onnx", n_threads=1)
    return Adopted(training, folder, engine, eps)


def test_q_is_that_of_the_framework(adopted: Adopted) -> None:
    """Mu and logvar to 1e-5 max(1, |value|) in float32."""
    found = adopted.engine.encode(adopted.saved("rows"))

    for got, name in ((found.mu, "mu"), (found.log_var, "logvar")):
        wanted = adopted.saved(name)
        assert (np.abs(got - wanted) <= 1e-5 * np.maximum(1, np.abs(wanted))).all()


def test_in_float64_the_networks_are_the_same_functions(adopted: Adopted) -> None:
    """The interpreter agrees with the framework's own float64 to 1e-10."""
    if adopted.training.environment in ("jax", "keras"):
        pytest.skip("it computes in float32")
    loaded = checkpoint.load(adopted.folder / "mine")
    vae = loaded.vae.double()

    q_z = vae.encode(torch.from_numpy(adopted.saved("rows")).double())
    p_x = vae.decode(torch.from_numpy(adopted.saved("mu")).double())

    for got, name in (
        (q_z.mu, "mu64"),
        (q_z.log_var, "logvar64"),
        (p_x.mean, "x_hat64"),
    ):
        np.testing.assert_allclose(
            got.numpy(), adopted.saved(name), rtol=1e-10, atol=1e-10
        )


def test_the_elbo_is_minus_the_loss(adopted: Adopted) -> None:
    """Per example, to 1e-4 nats, with the same noise."""
    scores = adopted.engine.score(adopted.saved("rows"), adopted.eps)

    elbo = scores.log_likelihood.mean(axis=1) - scores.kl.sum(axis=1)

    wanted = -adopted.saved("loss") + adopted.training.shift
    np.testing.assert_allclose(elbo, wanted, rtol=0, atol=1e-4)


def test_the_analyses_run(adopted: Adopted) -> None:
    """The gap and imputation are finite; refinement never lowers the ELBO."""
    vae = adopted.engine.checkpoint.vae
    x = torch.from_numpy(adopted.saved("rows")[:2])
    known = torch.arange(784).remainder(2).eq(0).expand(2, -1)

    gap = analyses.gaps(vae, x, target=0.5, budget=500, seed=1)
    imputed = analyses.impute(vae, x, known, n_draws=1, n_samples=20, seed=1)

    for columns in (columns_by_name(gap), columns_by_name(imputed)):
        assert all(np.isfinite(values).all() for values in columns.values())


def test_the_same_network_trained_here_agrees(adopted: Adopted) -> None:
    """The gap and imputation of a native network with these weights are the same."""
    if adopted.training.program is not trainings.MNIST_EXAMPLE:
        pytest.skip("this network cannot be described as a native one")
    native = native_twin(adopted)
    x = torch.from_numpy(adopted.saved("rows")[:2])
    known = torch.arange(784).remainder(2).eq(0).expand(2, -1)

    found = [
        {
            **columns_by_name(analyses.gaps(vae, x, target=0.5, budget=500, seed=1)),
            **columns_by_name(
                analyses.impute(vae, x, known, n_draws=1, n_samples=20, seed=1)
            ),
        }
        for vae in (adopted.engine.checkpoint.vae, native)
    ]

    for name, values in found[0].items():
        np.testing.assert_allclose(
            values, found[1][name], rtol=1e-2, atol=1e-2, err_msg=name
        )


def native_twin(adopted: Adopted) -> VAE:
    """Return the example as a network of this project, with the same weights."""
    document = adopted.engine.config.model_dump()
    mlp = {"kind": "mlp", "hidden": (400,), "activation": "relu"}
    vae = empty(Config.model_validate(document | {"encoder": mlp, "decoder": mlp}))
    names = {
        "encoder.torso.0": "fc1",
        "encoder.mu": "fc21",
        "encoder.log_var": "fc22",
        "decoder.torso.0": "fc3",
        "decoder.eta": "fc4",
    }
    weights = np.load(adopted.folder / "weights.npz")
    state = {
        f"{ours}.{part}": torch.from_numpy(weights[f"{theirs}.{part}"])
        for ours, theirs in names.items()
        for part in ("weight", "bias")
    }
    vae.load_state_dict(state, assign=True)
    return vae.requires_grad_(False).eval()
