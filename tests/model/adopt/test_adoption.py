import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import ModelProto

from model import checkpoint
from model.adopt import command
from model.adopt.adoption import adopt
from model.adopt.options import AdoptOptions
from model.config import ArrayLikelihood
from model.engine import Engine
from model.noise import Stream, standard_normal
from model.train import command as train
from tests.model.adopt.networks import (
    COLOR,
    DRAW,
    D,
    J,
    binary,
    conv_decoder,
    conv_encoder,
    decoder,
    encoder,
    node,
    run,
    write,
)
from tests.model.graph.models import random

pytestmark = pytest.mark.usefixtures("few_rows_are_refined")


def options(
    folder: Path,
    likelihood: ArrayLikelihood,
    encoder: ModelProto,
    decoder: ModelProto,
    **others: Any,
) -> AdoptOptions:
    """Write two networks and return the options of their adoption."""
    paths = write(folder, encoder=encoder, decoder=decoder)
    return AdoptOptions(
        encoder=paths["encoder"],
        decoder=paths["decoder"],
        likelihood=likelihood,
        out=folder / "mine",
        **others,
    )


def adopted(
    folder: Path,
    likelihood: ArrayLikelihood,
    encoder: ModelProto,
    decoder: ModelProto,
    **others: Any,
) -> Engine:
    """Adopt two networks, and return the engine that serves them."""
    chosen = options(folder, likelihood, encoder, decoder, **others)
    adopt(chosen, command=("test",))
    return Engine.load(chosen.out, device="cpu", backend="onnx", n_threads=1)


def test_the_well_known_example_is_served(tmp_path: Path) -> None:
    """q(z|x) and the ELBO are those of the exported networks and of their loss."""
    engine = adopted(tmp_path, "bernoulli", encoder(), decoder())
    x, K = binary(5), 3
    mu, log_var = run(encoder(), x)
    eps = standard_normal((5, K, J), seed=4, stream=Stream.LATENT)

    q_z, scores = engine.encode(x), engine.score(x, eps)

    np.testing.assert_allclose(q_z.mu, mu, atol=1e-6)
    np.testing.assert_allclose(q_z.log_var, log_var, atol=1e-6)
    # The loss of the example: BCE and KL, summed over the values of a row.
    z = mu[:, None] + np.exp(0.5 * log_var)[:, None] * eps
    p = run(decoder(), z.reshape(-1, J))[0].reshape(5, K, D).astype(np.float64)
    bce = -(x[:, None] * np.log(p) + (1 - x[:, None]) * np.log1p(-p)).sum(axis=2)
    kld = -0.5 * (1 + log_var - mu**2 - np.exp(log_var)).sum(axis=1)
    elbo = scores.log_likelihood.mean(axis=1) - scores.kl.sum(axis=1)
    np.testing.assert_allclose(elbo, -(bce.mean(axis=1) + kld), atol=1e-4)
    assert engine.batch_invariant
    assert engine.config.data_shape == (D,)


def test_the_logits_are_exact_where_the_sigmoid_saturates(tmp_path: Path) -> None:
    """The last sigmoid is taken off, so log p(x|z) is finite."""
    z = 400 * random(1, 4, J)
    logits = run(decoder(outputs=["logits"]), z)[0]
    assert np.abs(logits).max() > 100
    engine = adopted(tmp_path, "bernoulli", encoder(), decoder())
    vae = engine.checkpoint.vae

    x = (logits < 0).astype(np.float32)  # the unlikely values

    log_p = vae.decode(torch.from_numpy(z)).log_prob(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(
        log_p, -np.logaddexp(0, np.abs(logits)).sum(axis=1), rtol=1e-5
    )


SPREADS = {
    "log_sigma": [node("Mul", ["log_var", "half"], "log_std")],
    "sigma": [
        node("Mul", ["log_var", "half"], "l"),
        node("Exp", ["l"], "std"),
    ],
    "mu_log_var": [node("Concat", ["mu", "log_var"], "params", axis=1)],
    "mu_log_sigma": [
        node("Mul", ["log_var", "half"], "l"),
        node("Concat", ["mu", "l"], "mean_log_std", axis=1),
    ],
}


@pytest.mark.parametrize("spread", SPREADS)
def test_a_spread_in_another_form_is_the_same_q(spread: str, tmp_path: Path) -> None:
    """Found by the output's name: log sigma, sigma, or one tensor of 2J."""
    nodes = SPREADS[spread]
    last = nodes[-1].output[0]
    outputs = [last] if spread.startswith("mu") else ["mu", last]
    engine = adopted(tmp_path, "bernoulli", encoder(*nodes, outputs=outputs), decoder())
    mu, log_var = run(encoder(), binary(5))

    found = engine.encode(binary(5))

    np.testing.assert_allclose(found.mu, mu, atol=1e-6)
    np.testing.assert_allclose(found.log_var, log_var, atol=1e-5)


def test_a_draw_beside_the_parameters_is_dropped(tmp_path: Path) -> None:
    """With its random nodes; q is that of the parameters."""
    drawing = encoder(*DRAW, outputs=["z", "mu", "log_var"])

    engine = adopted(tmp_path, "bernoulli", drawing, decoder())

    np.testing.assert_allclose(
        engine.encode(binary(5)).mu, run(encoder(), binary(5))[0], atol=1e-6
    )


def test_a_spread_that_the_draw_contradicts_is_refused(tmp_path: Path) -> None:
    """An output that is declared as log sigma, but is log sigma^2."""
    drawing = encoder(*DRAW, outputs=["z", "mu", "log_var"])
    wrong = ("mu=mu", "log_sigma=log_var")
    chosen = options(tmp_path, "bernoulli", drawing, decoder(), encoder_outputs=wrong)

    with pytest.raises(ValueError, match="does not have the spread"):
        adopt(chosen, command=())

    assert not chosen.out.exists()


def color(n: int) -> np.ndarray:
    """Return images with channels last."""
    return np.random.default_rng(0).random((n, *COLOR)).astype(np.float32)


@pytest.mark.slow("adopts and serves convolutions")
def test_channels_are_first_in_the_network_and_last_in_the_service(
    tmp_path: Path,
) -> None:
    """A convolutional network with batch normalization, found to be NCHW."""
    engine = adopted(tmp_path, "continuous_bernoulli", conv_encoder(), conv_decoder())
    images = color(5)
    mu, log_var = run(conv_encoder(), images.transpose(0, 3, 1, 2).copy())

    found = engine.encode(images.reshape(5, -1))

    assert engine.config.data_shape == COLOR
    np.testing.assert_allclose(found.mu, mu, atol=1e-5)
    np.testing.assert_allclose(found.log_var, log_var, atol=1e-5)
    logits = run(conv_decoder(), mu)[0].transpose(0, 2, 3, 1).reshape(5, -1)
    eta = engine.checkpoint.vae.decoder.layers(torch.from_numpy(mu))[0]
    np.testing.assert_allclose(eta.numpy(), logits, atol=1e-5)


@pytest.mark.slow("adopts convolutions")
def test_a_density_is_that_of_the_data_whatever_range_the_networks_want(
    tmp_path: Path,
) -> None:
    """A network for [-1, 1]: log p(x|z) has the Jacobian of x to 2 x - 1."""
    tanh = conv_decoder(node("Tanh", ["logits"], "x_hat"), output="x_hat")
    sigma = 0.3
    engine = adopted(
        tmp_path,
        "gaussian",
        conv_encoder(),
        tanh,
        sigma=str(sigma),
        input_range=(-1.0, 1.0),
    )
    images = color(5)
    network = (2 * images - 1).transpose(0, 3, 1, 2).copy()
    mu = run(conv_encoder(), network)[0]

    scores = engine.score(images.reshape(5, -1), np.zeros((5, 1, J), np.float32))

    np.testing.assert_allclose(engine.encode(images.reshape(5, -1)).mu, mu, atol=1e-5)
    error = (network - run(tanh, mu)[0]).reshape(5, -1).astype(np.float64)
    n = error.shape[1]
    log_p = -0.5 * (error / sigma) ** 2 - np.log(sigma * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(
        scores.log_likelihood[:, 0], log_p.sum(axis=1) + n * np.log(2), rtol=1e-4
    )


def test_a_decoder_may_give_its_own_spread(tmp_path: Path) -> None:
    """Mean and log sigma for each value."""
    wide = decoder(
        node("Tanh", ["logits"], "x_mean"),
        node("Mul", ["logits", "half"], "x_log_sigma"),
        outputs=["x_mean", "x_log_sigma"],
    )
    engine = adopted(tmp_path, "gaussian", encoder(), wide)
    z = random(3, 4, J)
    mean, log_sigma = run(wide, z)

    found = engine.decode(z)

    np.testing.assert_allclose(found.mean, mean, atol=1e-6)
    assert found.log_var is not None
    np.testing.assert_allclose(found.log_var, 2 * log_sigma, atol=1e-5)


MEAN = decoder(node("Identity", ["logits"], "x_hat"), outputs=["x_hat"])


def table(folder: Path, n: int = 300) -> Path:
    """Write a data set of real numbers."""
    path = folder / "data.npy"
    np.save(path, random(8, n, D))
    return path


@pytest.mark.slow("measures the networks on data")
def test_sigma_is_fitted_to_data(tmp_path: Path) -> None:
    """One number: the root mean square of x - mean(z) over draws of q."""
    engine, each = (
        adopted(
            tmp_path,
            "gaussian",
            encoder(),
            MEAN,
            sigma=sigma,
            data=str(table(tmp_path)),
            test_samples=1,
            overwrite=True,
        )
        for sigma in ("fit", "fit_per_dim")
    )
    z = np.zeros((1, J), np.float32)

    one, other = engine.decode(z).log_var, each.decode(z).log_var

    assert one is not None
    assert other is not None
    assert len(set(one[0].tolist())) == 1
    assert len(set(other[0].tolist())) == D
    x = np.load(tmp_path / "data.npy")
    mu, log_var = run(encoder(), x)
    draws = mu + np.exp(0.5 * log_var) * random(9, *mu.shape)
    variance = ((x - run(MEAN, draws)[0]) ** 2).mean(axis=0)
    assert one[0, 0] == pytest.approx(np.log(variance.mean()), abs=0.1)
    np.testing.assert_allclose(other[0], np.log(variance), atol=0.5)


@pytest.mark.slow("measures the networks on data")
def test_the_files_of_training_are_written_from_data(tmp_path: Path) -> None:
    """Calibration, examples, quantiles, figures, the card and the golden record."""
    chosen = options(
        tmp_path,
        "gaussian",
        encoder(),
        MEAN,
        sigma="1",
        data=str(table(tmp_path)),
        examples=4,
        test_samples=2,
    )

    metrics = adopt(chosen, command=("vae-adopt", "--it"))

    loaded = checkpoint.load(chosen.out)
    assert {f.name for f in metrics.figures} == {
        *("elbo", "log_likelihood", "kl", "active_units", "amortization_gap")
    }
    assert loaded.calibration is not None
    assert loaded.calibration.aggregate is not None
    assert loaded.examples is not None
    assert loaded.manifest.golden is not None
    assert len(loaded.examples.x) == 4
    card = (chosen.out / checkpoint.CARD).read_text(encoding="utf-8")
    assert "trained elsewhere" in card
    assert "'mu' is mu" in card
    assert "declared as 1" in card


@pytest.mark.slow("measures the networks on data")
def test_a_prior_is_fitted_to_the_aggregate_posterior(tmp_path: Path) -> None:
    """One Gaussian has its moments; more components fit no worse."""
    engines = [
        adopted(
            tmp_path,
            "gaussian",
            encoder(),
            MEAN,
            sigma="1",
            data=str(table(tmp_path)),
            prior="fit",
            components=n,
            examples=0,
            test_samples=1,
            overwrite=True,
        )
        for n in (1, 4)
    ]
    mu, log_var = run(encoder(), np.load(tmp_path / "data.npy"))
    z = mu + np.exp(0.5 * log_var) * random(9, *mu.shape)

    moments = engines[0].prior_moments

    np.testing.assert_allclose(moments.mean, mu.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(moments.standard_deviation, z.std(axis=0), rtol=0.1)
    log_p = [
        float(e.checkpoint.vae.p_z.log_prob(torch.from_numpy(z)).mean())
        for e in engines
    ]
    assert log_p[1] > log_p[0] - 0.05
    assert engines[1].checkpoint.config.n_components == 4


def expectation(folder: Path, error: float = 0.0) -> tuple[Path, Path, Path]:
    """Write x, mu and x_hat of the example, mu with an error in one value."""
    x = np.random.default_rng(3).random((6, D)).astype(np.float32)
    mu = run(encoder(), x)[0]
    x_hat = run(decoder(), mu)[0]
    mu[2, 1] += error
    paths = tuple(folder / f"{name}.npy" for name in ("x", "mu", "x_hat"))
    for path, values in zip(paths, (x, mu, x_hat), strict=True):
        np.save(path, values)
    return paths[0], paths[1], paths[2]


def test_values_of_the_own_framework_are_found_again_and_kept(tmp_path: Path) -> None:
    """They become the examples, and their ELBO the golden record."""
    chosen = options(
        tmp_path, "bernoulli", encoder(), decoder(), expect=expectation(tmp_path)
    )

    adopt(chosen, command=())

    loaded = checkpoint.load(chosen.out)
    assert loaded.manifest.golden is not None
    assert len(loaded.manifest.golden.elbo) == 6
    assert loaded.examples is not None
    assert loaded.examples.gray is not None
    assert "On 6 rows from its own framework, mu differs by" in (
        chosen.out / checkpoint.CARD
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"", b"mu", b"PK\x03\x04", b"cos\nsystem\n."])
def test_a_file_of_no_numbers_is_named(content: bytes, tmp_path: Path) -> None:
    """Whatever NumPy says of it."""
    expect = expectation(tmp_path)
    expect[1].write_bytes(content)
    chosen = options(tmp_path, "bernoulli", encoder(), decoder(), expect=expect)

    with pytest.raises(ValueError, match=r"mu\.npy: expected a \.npy file of numbers"):
        adopt(chosen, command=())


def test_another_value_than_expected_is_an_error(tmp_path: Path) -> None:
    """It names row and value, and nothing is written."""
    expect = expectation(tmp_path, error=1e-3)
    chosen = options(tmp_path, "bernoulli", encoder(), decoder(), expect=expect)

    with pytest.raises(ValueError, match="mu of row 2, value 1"):
        adopt(chosen, command=())

    assert not chosen.out.exists()


def refusals() -> dict[str, tuple[ModelProto, ModelProto, dict[str, Any], str]]:
    """Return networks that are refused, with options and why."""
    plain = encoder(), decoder()
    return {
        "unknown outputs": (
            encoder(node("Abs", ["mu"], "a"), outputs=["a"]),
            plain[1],
            {},
            "--encoder-outputs mu=0",
        ),
        "batch statistics": (
            conv_encoder(training=True),
            conv_decoder(),
            {},
            "depend on the other rows, first in node '/bn/",
        ),
        "no sigmoid": (
            plain[0],
            decoder(node("Tanh", ["logits"], "y"), outputs=["y"]),
            {},
            "does not end in a Sigmoid",
        ),
        "logits with a sigmoid": (
            plain[0],
            plain[1],
            {"decoder_outputs": ("logits=reconstruction",)},
            "ends in a sigmoid",
        ),
        "log_var that is an exponential": (
            encoder(node("Exp", ["log_var"], "logvar"), outputs=["mu", "logvar"]),
            plain[1],
            {},
            "declare it as sigma",
        ),
        "one batch size": (
            encoder(
                node("Reshape", ["mu", "two"], "z_mean"),
                outputs=["z_mean", "log_var"],
                constants={"two": np.array([2, J])},
            ),
            plain[1],
            {},
            "Reshape",
        ),
        "not finite": (
            encoder(
                node("Log", ["x"], "l"),
                node("Slice", ["l", "from", "to", "axis"], "mean"),
                outputs=["mean", "log_var"],
                constants={
                    "from": np.array([0]),
                    "to": np.array([J]),
                    "axis": np.array([1]),
                },
            ),
            plain[1],
            {},
            "not finite",
        ),
        "a random node": (
            encoder(*DRAW, outputs=["z", "log_var"]),
            plain[1],
            {"encoder_outputs": ("mu=z", "log_var=log_var")},
            "RandomNormalLike): it is random",
        ),
        "one output for two meanings": (
            plain[0],
            plain[1],
            {"encoder_outputs": ("mu=0", "log_var=0")},
            "is declared twice, last by 'log_var=0'",
        ),
        "other shape": (plain[0], plain[1], {"data_shape": (5, 3)}, "15 values"),
    }


@pytest.mark.parametrize("name", refusals())
def test_networks_that_cannot_be_served_are_refused(name: str, tmp_path: Path) -> None:
    """Before anything is written, in one line that says what to do."""
    first, second, others, why = refusals()[name]
    chosen = options(tmp_path, "bernoulli", first, second, **others)

    with pytest.raises(ValueError) as caught:  # noqa: PT011  see below
        adopt(chosen, command=())

    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not chosen.out.exists()


@pytest.mark.parametrize(
    "suffix", [".pkl", ".pt", ".pth", ".pt2", ".keras", ".h5", ".ckpt"]
)
def test_files_that_can_execute_code_are_refused(suffix: str, tmp_path: Path) -> None:
    """Unread, with the lines that export the network where it was trained."""
    path = tmp_path / f"vae{suffix}"
    path.write_bytes(b"cos\nsystem\n(S'touch /tmp/pwned'\ntR.")
    chosen = options(tmp_path, "bernoulli", encoder(), decoder())

    with pytest.raises(ValueError, match=r"can execute code.*Export.*onnx"):
        adopt(replace(chosen, encoder=path), command=())


def test_an_existing_checkpoint_stays_without_overwrite(tmp_path: Path) -> None:
    """An error names the option."""
    chosen = options(tmp_path, "bernoulli", encoder(), decoder())
    adopt(chosen, command=())
    before = checkpoint.identity(chosen.out)

    with pytest.raises(ValueError, match="--overwrite"):
        adopt(chosen, command=())

    assert checkpoint.identity(chosen.out) == before


def test_the_decoder_of_another_model_is_refused(tmp_path: Path) -> None:
    """Its number of values must be that of the encoder."""
    chosen = options(tmp_path, "bernoulli", encoder(), conv_decoder())

    with pytest.raises(ValueError, match="expected 16 values"):
        adopt(chosen, command=())


def test_a_changed_graph_is_not_served(tmp_path: Path) -> None:
    """At the start of the service too: its file and its node are named."""
    chosen = options(tmp_path, "bernoulli", encoder(), decoder())
    adopt(chosen, command=())
    path = chosen.out / checkpoint.ENCODER
    content = path.read_bytes().replace(b"Relu", b"Loop")
    path.write_bytes(content)
    manifest = chosen.out / checkpoint.MANIFEST
    document = json.loads(manifest.read_text(encoding="utf-8"))
    document["files"][checkpoint.ENCODER]["sha256"] = sha256(content)
    manifest.write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(checkpoint.CheckpointError, match=r"encoder.onnx.*control flow"):
        checkpoint.load(chosen.out)


def sha256(content: bytes) -> str:
    """Return a hash as the manifest has it."""
    return hashlib.sha256(content).hexdigest()


def test_a_graph_is_not_trained_further(tmp_path: Path) -> None:
    """--init-from says so."""
    chosen = options(tmp_path, "bernoulli", encoder(), decoder())
    adopt(chosen, command=())
    np.save(tmp_path / "rows.npy", binary(50))

    status = train.main(
        [
            *("--data", str(tmp_path / "rows.npy"), "--latent-dim", "2"),
            *("--out", str(tmp_path / "other"), "--init-from", str(chosen.out)),
        ]
    )

    assert status == 2


def test_the_command_says_what_it_took_for_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line an output; what is missing without data is said."""
    paths = write(tmp_path, encoder=encoder(), decoder=decoder())

    status = command.main(
        [
            *("--encoder", str(paths["encoder"]), "--decoder", str(paths["decoder"])),
            *("--likelihood", "bernoulli", "--out", str(tmp_path / "mine")),
            *("--data-shape", "4", "4"),
        ]
    )

    said = capsys.readouterr().err
    assert status == 0, said
    assert "encoder: 'mu' is mu, 'log_var' is log_var" in said
    assert "decoder: 'reconstruction' is probabilities" in said
    assert "without --data" in said
    assert checkpoint.load(tmp_path / "mine").config.data_shape == (4, 4)
