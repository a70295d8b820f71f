"""The bounds of many draws and their gradients, by closed forms and by each other."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal, Normal

from model.config import FORMAT_VERSION, Config
from model.dataset_elbo import estimate_elbo
from model.elbo import elbo
from model.noise import Stream, standard_normal
from model.train.objectives import OBJECTIVES, Objective, dreg, iwae, mean_bound
from model.train.options import ObjectiveName, RunOptions
from model.vae import VAE, initial_vae
from tests.model.train.runs import Trainer, write_table

D, J, K = 4, 2, 8
VARIANCE = 0.4
MANY = pytest.mark.parametrize("objective", [iwae, dreg])


def random(*shape: int, seed: int = 0) -> Tensor:
    """Return normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def model(
    *,
    hidden: tuple[int, ...] = (3,),
    likelihood: str = "bernoulli",
    prior: dict[str, object] | None = None,
) -> VAE:
    """Return a tiny VAE in float64 whose every weight and bias is random."""
    network = {"kind": "mlp", "hidden": hidden, "activation": "tanh"}
    gaussian = likelihood == "gaussian"
    document = {
        "format_version": FORMAT_VERSION,
        "data_shape": (D,),
        "latent_dim": J,
        "likelihood": {"kind": likelihood, "sigma_floor": 0.1 if gaussian else None},
        "encoder": network,
        "decoder": network,
        "data": {
            "name": "tiny",
            "divided_by": 1.0,
            "binarization": "none",
            "standardized": False,
        },
        "prior": prior or {"kind": "standard_normal"},
    }
    vae = initial_vae(Config.model_validate(document), seed=0).double()
    with torch.no_grad():
        for i, parameter in enumerate(vae.parameters()):
            parameter.add_(0.5 * random(*parameter.shape, seed=i))
    return vae


def exact() -> VAE:
    """Return probabilistic PCA with orthogonal loadings and its exact posterior."""
    vae = model(hidden=(), likelihood="gaussian")
    w = torch.linalg.qr(random(D, J)).Q * torch.tensor([2.0, 0.7])
    precision = w.square().sum(dim=0) / VARIANCE + 1  # diagonal, as q is
    with torch.no_grad():
        for layer in (vae.decoder.mu, vae.decoder.log_var, vae.encoder.log_var):
            assert isinstance(layer, torch.nn.Linear)
            layer.weight.zero_()
            layer.bias.zero_()
        vae.decoder.mu.weight.copy_(w)  # type: ignore[operator]
        vae.decoder.log_var.bias.fill_(math.log(VARIANCE - 0.1**2))  # type: ignore[operator]
        vae.encoder.mu.weight.copy_((w / VARIANCE / precision).T)
        vae.encoder.mu.bias.zero_()
        vae.encoder.log_var.bias.copy_(-precision.log())
    return vae


def gradients(
    vae: VAE, objective: Objective, x: Tensor, eps: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradient of the loss in theta and in phi, flat."""
    loss, _ = objective(vae, x, eps, x.new_tensor(1.0))
    found = torch.autograd.grad(loss, [*vae.theta, *vae.phi])
    n = len(vae.theta)
    return tuple(  # type: ignore[return-value]  # of two
        torch.cat([part.flatten() for part in parts])
        for parts in (found[:n], found[n:])
    )


def test_the_loss_of_iwae_is_the_bound_with_its_sign_turned() -> None:
    """Minus the mean over rows of log 1/K sum_k p(x, z_k) / q(z_k|x)."""
    vae = model()
    x, eps = (random(5, D) > 0).double(), random(K, 5, J, seed=1)

    loss, _ = iwae(vae, x, eps, torch.tensor(1.0))

    q_z = vae.encode(x)
    z = q_z.reparameterize(eps)
    prior: Distribution = Normal(0, 1)
    p_z = prior.log_prob(z).sum(dim=-1).exp()
    p_xz = vae.decode(z).log_prob(x).exp() * p_z
    bound = (p_xz / q_z.log_prob(z).exp()).mean(dim=0).log()
    torch.testing.assert_close(loss, -bound.mean())


def test_more_draws_make_a_tighter_bound() -> None:
    """L_1 <= L_8 <= L_64 <= log p(x), by more than the errors (Burda et al. 2016)."""
    vae = model(hidden=(), likelihood="gaussian").requires_grad_(False)
    x = random(1, D).expand(2000, -1)

    bounds = [
        -float(iwae(vae, x, random(k, 2000, J, seed=k), torch.tensor(1.0))[0])
        for k in (1, 8, 64)
    ]

    assert bounds[0] + 0.1 < bounds[1]
    assert bounds[1] + 0.01 < bounds[2]


@MANY
def test_the_terms_are_those_of_the_elbo(objective: Objective) -> None:
    """What the journal reports is the ELBO's, whatever is ascended."""
    vae = model()
    x, eps = (random(5, D) > 0).double(), random(K, 5, J, seed=1)

    _, terms = objective(vae, x, eps, torch.tensor(1.0))

    wanted = elbo(vae, x, eps=eps)
    torch.testing.assert_close(terms.log_likelihood, wanted.log_likelihood.mean())
    torch.testing.assert_close(terms.kl, wanted.kl.mean())


def test_dreg_has_the_gradient_of_iwae_in_theta() -> None:
    """To rounding, draw by draw: only phi's estimator is another."""
    vae = model()
    x, eps = (random(5, D) > 0).double(), random(K, 5, J, seed=1)

    (ours, phi), (theirs, other_phi) = (
        gradients(vae, objective, x, eps) for objective in (dreg, iwae)
    )

    torch.testing.assert_close(ours, theirs)
    assert ours.abs().max() > 0.01
    assert not torch.allclose(phi, other_phi, rtol=0.1)


class Estimators(NamedTuple):
    """Gradients in phi of 400 batches of 32 draws of noise, the noise shared."""

    dreg: Tensor
    iwae: Tensor


def estimators(vae: VAE, x: Tensor, n: int = 400) -> Estimators:
    """Estimate the gradient at one example over and over."""
    rows = x.expand(32, -1)
    draws = [random(K, 32, J, seed=seed) for seed in range(n)]
    return Estimators(
        *(
            torch.stack([gradients(vae, objective, rows, eps)[1] for eps in draws])
            for objective in (dreg, iwae)
        )
    )


@pytest.fixture(scope="module")
def anywhere() -> Estimators:
    """Return those of a model whose q is far from its posterior."""
    return estimators(model(), (random(1, D) > 0).double())


@pytest.fixture(scope="module")
def trained() -> Estimators:
    """Return those of a model whose q is close to its posterior, as after training."""
    vae = exact()
    with torch.no_grad():
        for i, parameter in enumerate(vae.phi):
            parameter.add_(0.1 * random(*parameter.shape, seed=i))
    return estimators(vae, random(1, D))


@pytest.mark.slow("trains")
@pytest.mark.parametrize("where", ["anywhere", "trained"])
def test_dreg_has_the_expected_gradient_of_iwae_in_phi(
    where: str, request: pytest.FixtureRequest
) -> None:
    """Within 4 standard errors of the difference in every parameter, far and near."""
    found: Estimators = request.getfixturevalue(where)

    difference = found.dreg - found.iwae
    error = difference.std(dim=0) / math.sqrt(len(difference))
    assert (difference.mean(dim=0).abs() <= 4 * error + 1e-15).all()
    # An error bar that says something: of no more than a tenth of the gradient.
    assert error.norm() < 0.1 * found.dreg.mean(dim=0).norm()


@pytest.mark.slow("computes many gradients")
def test_dreg_has_less_variance_where_q_is_close_to_the_posterior(
    trained: Estimators,
) -> None:
    """Summed over phi; each variance has an error of 7 %, their ratio one of 10 %."""
    variances = [float(part.var(dim=0).sum()) for part in trained]

    assert variances[0] < 0.6 * variances[1]  # 4 errors below 1


@pytest.mark.slow("computes many gradients")
def test_dreg_need_not_have_less_variance_elsewhere(anywhere: Estimators) -> None:
    """With q far from the posterior it can have more: the help says where it pays."""
    variances = [float(part.var(dim=0).sum()) for part in anywhere]

    assert variances[0] > variances[1]


def test_at_the_exact_posterior_dreg_does_not_move_phi() -> None:
    """Every w is p(x), so the gradient is 0 for any noise; that of iwae is not."""
    vae = exact()
    x, eps = random(6, D), random(K, 6, J, seed=1)

    ours, theirs = (gradients(vae, o, x, eps)[1] for o in (dreg, iwae))

    torch.testing.assert_close(ours, torch.zeros_like(ours), rtol=0, atol=1e-7)
    assert theirs.abs().max() > 0.01
    loss, _ = iwae(vae, x, eps, torch.tensor(1.0))
    w = vae.decoder.mu.weight
    assert isinstance(w, Tensor)
    covariance = w @ w.T + VARIANCE * torch.eye(D).double()
    p_x: Distribution = MultivariateNormal(torch.zeros(D).double(), covariance)
    torch.testing.assert_close(loss, -p_x.log_prob(x).mean(), rtol=0, atol=1e-7)


@pytest.mark.slow("computes many gradients")
def test_dreg_has_the_expected_gradient_of_iwae_where_the_prior_holds_phi() -> None:
    """Under a VampPrior, whose components follow the encoder, within 4 errors."""
    vae = model(prior={"kind": "vamp", "n_components": 3})

    found = estimators(vae, (random(1, D) > 0).double(), n=150)

    difference = found.dreg - found.iwae
    error = difference.std(dim=0) / math.sqrt(len(difference))
    assert (difference.mean(dim=0).abs() <= 4 * error + 1e-15).all()
    assert error.norm() < 0.2 * found.dreg.mean(dim=0).norm()


@pytest.mark.parametrize("kind", ["gaussian_mixture", "vamp"])
def test_the_bounds_hold_the_learned_prior(kind: str) -> None:
    """The loss of iwae is -log 1/K sum p(x, z) / q(z|x) with log_joint's p(z)."""
    vae = model(prior={"kind": kind, "n_components": 3})
    x, eps = (random(5, D) > 0).double(), random(K, 5, J, seed=1)

    loss, terms = iwae(vae, x, eps, torch.tensor(1.0))

    q_z = vae.encode(x)
    z = q_z.reparameterize(eps)
    log_w = vae.log_joint(x, z) - q_z.log_prob(z)
    bound = log_w.logsumexp(dim=0) - math.log(K)
    torch.testing.assert_close(loss, -bound.mean())
    torch.testing.assert_close(terms.kl, vae.p_z.kl(q_z, z).mean())


def test_the_bound_of_a_split_is_a_mean_over_its_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In any chunks, with the noise of `estimate_elbo`; for K = 1 it is the ELBO."""
    vae = model().float().requires_grad_(False)
    x = (random(11, D) > 0).float()
    wanted = mean_bound(vae, x, n_samples=4, seed=3)

    monkeypatch.setattr("model.train.objectives._PAIRS_PER_CHUNK", 13)

    assert mean_bound(vae, x, n_samples=4, seed=3) == pytest.approx(wanted, rel=1e-5)
    eps = standard_normal((11, 4, J), seed=3, stream=Stream.LATENT)
    whole = torch.from_numpy(eps).transpose(0, 1)
    loss, _ = iwae(vae, x, whole, torch.tensor(1.0))
    assert wanted == pytest.approx(-float(loss), rel=1e-5)
    # Of one draw, log w is the ELBO with log q(z) in place of its mean.
    q_z = vae.encode(x)
    one = torch.from_numpy(standard_normal((11, J), seed=3, stream=Stream.LATENT))
    z = q_z.reparameterize(one)
    log_w = vae.log_joint(x, z) - q_z.log_prob(z)
    single = mean_bound(vae, x, n_samples=1, seed=3)
    assert single == pytest.approx(float(log_w.mean()), rel=1e-5)


@pytest.mark.parametrize("name", ["iwae", "dreg"])
def test_the_best_epoch_is_that_of_the_bound_trained_on(
    tmp_path: Path, name: Any
) -> None:
    """By L_K of the journal, which is another number than the ELBO beside it."""
    options = RunOptions(
        data=str(write_table(tmp_path / "table.npy", n=100)),
        out=tmp_path / "run",
        likelihood="gaussian",
        hidden=(4,),
        latent_dim=2,
        objective=name,
        n_samples=5,
        batch_size=50,
        epochs=8,
        learning_rate=0.3,
        schedule="constant",
        ema=None,
    )
    run = Trainer(options)

    state = run.fit(run.begin())

    bounds = [line["validation"]["bound"] for line in run.lines]
    elbos = [line["validation"]["elbo"] for line in run.lines]
    assert state.progress.best_bound == max(bounds)
    assert state.progress.best_epoch == int(np.argmax(bounds)) + 1
    assert np.mean(bounds) > np.mean(elbos)
    kept = state.model(state.best)
    rows = torch.from_numpy(run.prepared.validation)
    assert mean_bound(kept, rows, n_samples=5, seed=0) == max(bounds)


@MANY
def test_the_gradient_of_theta_alone_needs_no_phi(objective: Objective) -> None:
    """With a frozen encoder the loss still has the gradient of the decoder."""
    vae = model()
    for parameter in vae.phi:
        parameter.requires_grad_(False)

    loss, _ = objective(
        vae, (random(5, D) > 0).double(), random(K, 5, J), torch.tensor(1.0)
    )

    assert all(g.isfinite().all() for g in torch.autograd.grad(loss, vae.theta))


def test_objectives_are_known_by_their_names() -> None:
    """Every name of the options has its objective."""
    assert set(OBJECTIVES) == set(ObjectiveName.__args__)  # type: ignore[attr-defined]


@pytest.mark.slow("trains")
@pytest.mark.parametrize("name", ["iwae", "dreg"])
def test_a_run_improves_the_bound_it_is_told_to(tmp_path: Path, name: Any) -> None:
    """After 30 epochs the IWAE bound of the held-out rows is nats above the start's."""
    options = RunOptions(
        data=str(write_table(tmp_path / "table.npy", n=200)),
        out=tmp_path / "run",
        likelihood="gaussian",
        hidden=(8,),
        latent_dim=2,
        objective=name,
        n_samples=5,
        batch_size=50,
        epochs=30,
        learning_rate=0.02,
        ema=None,
    )
    run = Trainer(options)
    state = run.begin()
    rows = torch.from_numpy(run.prepared.validation)
    eps = random(50, len(rows), 2).float()
    weight = torch.tensor(1.0)
    before = iwae(state.vae, rows, eps, weight)[0].item()

    run.fit(state)

    assert iwae(state.vae, rows, eps, weight)[0].item() < before - 1
    last = estimate_elbo(state.vae, rows, n_samples=1, seed=0).bound.mean()
    assert run.lines[-1]["validation"]["elbo"] == pytest.approx(last)
