from pathlib import Path

import numpy as np
import pytest
import torch

from model import checkpoint
from model.checkpoint import CheckpointError
from model.config import LikelihoodName, Network
from model.engine import Engine
from model.inference import analyses
from model.inference.columns import columns_by_name
from model.inference.hmc import sample_posterior
from model.vae import VAE
from tests.model.graph.adopted import as_graphs
from tests.tiny import CONV, MLP, save_golden, tiny_config, tiny_vae

KINDS: list[tuple[LikelihoodName, tuple[int, ...], Network]] = [
    ("bernoulli", (4, 4), MLP),
    ("continuous_bernoulli", (8, 8, 2), CONV),
    ("gaussian", (5,), MLP),
]


@pytest.fixture(params=KINDS, ids=[kind for kind, *_ in KINDS])
def native(request: pytest.FixtureRequest) -> VAE:
    """Return a model of every likelihood, without standardization."""
    kind, data_shape, network = request.param
    config = tiny_config(kind, data_shape=data_shape, network=network)
    data = config.data.model_copy(update={"standardized": False})
    return tiny_vae(config.model_copy(update={"data": data})).eval()


def rows(vae: VAE, n: int = 9) -> torch.Tensor:
    """Return data in the support of the likelihood."""
    draw = np.random.default_rng(5).random((n, vae.config.data_dim), np.float32)
    binary = vae.config.likelihood.kind == "bernoulli"
    return torch.from_numpy((draw > 0.5).astype(np.float32) if binary else draw)


def test_a_graph_is_the_function_that_the_network_was(native: VAE) -> None:
    """Encoder and log p(x, z) agree with the layers, to float64 in float64."""
    adopted = as_graphs(native)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        one, other = native.to(dtype), adopted.to(dtype)
        x = rows(native).to(dtype)
        q_z = one.encode(x)

        got = other.encode(x)

        torch.testing.assert_close(got.mu, q_z.mu, rtol=0, atol=tolerance)
        torch.testing.assert_close(got.log_var, q_z.log_var, rtol=0, atol=tolerance)
        torch.testing.assert_close(
            other.log_joint(x, q_z.mu),
            one.log_joint(x, q_z.mu),
            rtol=tolerance,
            atol=tolerance,
        )


def test_what_is_counted_as_parameters_is_the_same(native: VAE) -> None:
    """The sizes of theta and phi are those of the network that became a graph."""
    adopted = as_graphs(native)

    for one, other in ((adopted.theta, native.theta), (adopted.phi, native.phi)):
        assert sum(p.numel() for p in one) == sum(p.numel() for p in other)


@pytest.mark.slow("runs the analyses twice in float64")
def test_the_analyses_agree_with_those_of_the_native_network(native: VAE) -> None:
    """Refinement, the gap, HMC and imputation go through gradients."""
    adopted = as_graphs(native).double()
    x = rows(native, 2).double()
    known = torch.arange(x.shape[1]).remainder(3).ne(0).expand(len(x), -1)

    found = [
        (
            analyses.refine(vae, x, seed=1, first=0),
            analyses.gaps(vae, x, target=0.1, budget=256, seed=1, first=0),
            analyses.impute(vae, x, known, n_draws=2, n_samples=50, seed=1, first=0),
        )
        for vae in (adopted, native.double())
    ]

    for ours, theirs in zip(*found, strict=True):
        wanted = columns_by_name(theirs)
        for name, column in columns_by_name(ours).items():
            np.testing.assert_allclose(
                column, wanted[name], rtol=1e-4, atol=1e-4, err_msg=name
            )


@pytest.mark.slow("serves graphs with both libraries")
@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_a_checkpoint_of_graphs_is_served(
    native: VAE, backend: str, tmp_path: Path
) -> None:
    """Written, read, proven independent of the batch, and equal to the native one."""
    x = rows(native)
    path = save_golden(tmp_path / "it", as_graphs(native), x.numpy())

    engine = Engine.load(
        path,
        device="cpu",
        backend="onnx" if backend == "onnx" else "torch",
        n_threads=1,
    )

    assert engine.backend == backend
    assert engine.batch_invariant
    q_z, got = native.encode(x), engine.encode(x.numpy())
    np.testing.assert_allclose(got.mu, q_z.mu.numpy(), atol=1e-5)
    np.testing.assert_allclose(
        engine.decode(got.mu).mean, native.decode(q_z.mu).mean.numpy(), atol=1e-5
    )
    if backend == "onnx":
        path = save_golden(tmp_path / "native", native, x.numpy())
        twin = Engine.load(path, device="cpu", backend="onnx", n_threads=1)
        assert np.array_equal(got.mu, twin.encode(x.numpy()).mu)  # the same graph
    assert {"encoder.onnx", "decoder.onnx"} <= engine.checkpoint.manifest.files.keys()


def test_the_files_of_a_checkpoint_hold_no_weights(native: VAE, tmp_path: Path) -> None:
    """All weights are in model.safetensors; the graphs are small."""
    path = save_golden(tmp_path / "it", as_graphs(native), rows(native).numpy())

    loaded = checkpoint.load(path)

    assert (path / checkpoint.ENCODER).stat().st_size < 4096
    assert loaded.vae.graphs is not None
    assert not [
        name
        for graph in loaded.vae.graphs
        for name, values in graph.constants.items()
        if values.dtype == np.float32
    ]


@pytest.mark.parametrize("name", ["encoder.onnx", "decoder.onnx"])
def test_a_checkpoint_without_one_of_its_graphs_is_refused(
    native: VAE, name: str, tmp_path: Path
) -> None:
    """A missing file is named."""
    path = save_golden(tmp_path / "it", as_graphs(native), rows(native).numpy())
    (path / name).unlink()

    with pytest.raises(CheckpointError, match=name):
        checkpoint.load(path)


def test_chains_are_those_of_the_network(native: VAE) -> None:
    """HMC needs gradients of log p(x, z) at every step."""
    adopted = as_graphs(native).double()
    x = rows(native, 2).double()

    ours, theirs = (
        sample_posterior(
            vae,
            x,
            q_z=native.double().encode(x),
            n_chains=2,
            n_samples=4,
            n_warmup=4,
            seed=3,
        )
        for vae in (adopted, native.double())
    )

    torch.testing.assert_close(ours.z, theirs.z, rtol=1e-6, atol=1e-6)
