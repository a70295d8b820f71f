"""Training reaches what is known beforehand, journals it, and stops as it should."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.dataset_elbo import estimate_elbo
from model.elbo import elbo
from model.train.batches import Batches
from model.train.fit import DivergedError, is_complete
from model.train.options import RunOptions
from model.train.state import State
from model.vae import VAE
from tests.model.train.runs import LOADINGS, Trainer, write_images, write_table

NOISE_VARIANCE = 0.25  # of write_table


def images(where: Path, **changes: Any) -> Trainer:
    """Return a small run on images, 3 steps an epoch, the last on 6 of 38 rows."""
    options = RunOptions(
        data=str(write_images(where / "images.npy")),
        out=where / "run",
        hidden=(6,),
        latent_dim=2,
        batch_size=16,
        epochs=3,
        schedule="constant",
        ema=None,
    )
    return Trainer(dataclasses.replace(options, **changes))


def gaussian(where: Path, *, scale: float = 1.0, **changes: Any) -> Trainer:
    """Return a run on rows x = W z + noise, the data of probabilistic PCA."""
    options = RunOptions(
        data=str(write_table(where / f"table{scale:g}.npy", n=3000, scale=scale)),
        out=where / f"run{scale:g}",
        likelihood="gaussian",
        hidden=(16,),
        latent_dim=2,
        batch_size=50,
        learning_rate=0.01,
        epochs=25,
        ema=0.99,
    )
    return Trainer(dataclasses.replace(options, **changes))


def best(run: Trainer) -> VAE:
    """Train, and return the model with the best weights."""
    state = run.fit(run.begin())
    return state.model(state.best)


def mean_elbo(vae: VAE, x: NDArray[np.float32]) -> float:
    """Return the mean ELBO with so many draws that their noise is below 0.01 nats."""
    return float(
        estimate_elbo(vae, torch.from_numpy(x), n_samples=64, seed=1).bound.mean()
    )


def mean_log_normal(x: NDArray[np.float32], covariance: NDArray[np.float64]) -> float:
    """Return the mean of log N(x; 0, covariance)."""
    distances = (x @ np.linalg.inv(covariance) * x).sum(axis=1)
    log_det: float = np.linalg.slogdet(2 * math.pi * covariance).logabsdet
    return -0.5 * (log_det + float(distances.mean()))


@pytest.mark.slow("trains")
def test_training_reaches_the_likelihood_of_probabilistic_pca(tmp_path: Path) -> None:
    """
    On linear Gaussian data the ELBO rises by 1.5 nats to log p(x) itself.

    There the posterior is Gaussian, and its covariance diagonal after a rotation of z,
    so the bound can be tight (Lucas et al. 2019). From below, what training leaves:
    0.02 to 0.05 nats with several seeds. From above, nothing beats the law that the
    held-out rows were drawn from, but by the noise of the estimate, 0.005 nats.
    """
    run = gaussian(tmp_path)
    truth = LOADINGS @ LOADINGS.T + NOISE_VARIANCE * np.eye(len(LOADINGS))
    held_out = run.dataset.validation.x

    learned = mean_elbo(best(run), run.prepared.validation)

    log_p = mean_log_normal(held_out, truth)
    independent = mean_log_normal(held_out, np.diag(np.diag(truth)))
    assert log_p - independent > 1.5  # what z is there to explain
    assert -0.06 < learned - log_p < 0.01


@pytest.mark.slow("trains")
def test_densities_are_in_the_units_of_the_data(tmp_path: Path) -> None:
    """
    Data a thousand times as large have an ELBO lower by D log 1000.

    Standardized, both are the same to the networks but for rounding.
    """
    small, large = (gaussian(tmp_path, scale=s, epochs=2) for s in (1, 1000))

    a = mean_elbo(best(small), small.prepared.validation)
    b = mean_elbo(best(large), large.prepared.validation)

    assert a - b == pytest.approx(len(LOADINGS) * math.log(1000), abs=0.01)


def test_a_journal_line_is_what_happened_in_the_epoch(tmp_path: Path) -> None:
    """
    Train figures are means over the rows, each as it was seen, without any weight.

    With a learning rate of 1e-30 no weight moves, so all can be computed afterwards.
    """
    run = images(tmp_path, learning_rate=1e-30, kl_warmup_epochs=6, n_samples=2)
    state = run.begin()

    run.fit(state)

    x = torch.from_numpy(run.prepared.train)
    batches = Batches(x, size=16, seed=0, dynamic=True)
    validation = torch.from_numpy(run.prepared.validation)
    held_out = estimate_elbo(state.vae, validation, n_samples=1, seed=0)
    assert [line["epoch"] for line in run.lines] == [1, 2, 3]
    for epoch, line in enumerate(run.lines):
        log_likelihood, kl = [], []
        for step in range(3):
            rows = batches.rows(batches.order(epoch), epoch, step)
            eps = batches.eps((2, len(rows), 2), epoch, step)
            bound = elbo(state.vae, rows, eps=eps)
            log_likelihood += bound.log_likelihood.tolist()
            kl += bound.kl.tolist()
        assert line["train"] == pytest.approx(
            {
                "elbo": np.mean(log_likelihood) - np.mean(kl),
                "log_likelihood": np.mean(log_likelihood),
                "kl": np.mean(kl),
            },
            rel=1e-6,
        )
        assert line["validation"] == pytest.approx(
            {
                "bound": held_out.bound.mean(),
                "elbo": held_out.bound.mean(),
                "log_likelihood": held_out.log_likelihood.mean(),
                "kl": held_out.kl.mean(),
            },
            rel=1e-12,
        )
        assert line["active_units"] == held_out.n_active
        assert line["learning_rate"] == 1e-30
        assert line["kl_weight"] == pytest.approx((epoch + 1) / 6)
        assert line["examples_per_second"] > 0
        assert len(line) == 7


def test_the_learning_rate_falls_over_the_whole_run(tmp_path: Path) -> None:
    """The journal has that of each epoch's last step: steps 3, 6 and 9 of 9."""
    run = images(tmp_path, learning_rate=0.9, schedule="linear")

    run.fit(run.begin())

    rates = [line["learning_rate"] for line in run.lines]
    assert rates == pytest.approx([0.9 * (1 - done / 9) for done in (2, 5, 8)])


@pytest.mark.slow("trains")
def test_warm_up_frees_the_kl(tmp_path: Path) -> None:
    """
    While the KL weighs nothing in the loss it grows, and the reported ELBO pays for it.

    The same run with the full weight has a KL a fraction as large.
    """
    changes = {"epochs": 60, "learning_rate": 0.02}
    full = images(tmp_path, **changes)
    free = images(tmp_path, **changes, kl_warmup_epochs=10**6)
    full.fit(full.begin())
    (tmp_path / "run.training" / "state.safetensors").unlink()

    free.fit(free.begin())

    weighted, unweighted = full.lines[-1]["train"], free.lines[-1]["train"]
    assert unweighted["kl"] > 3 * weighted["kl"] > 0.1
    assert unweighted["elbo"] == unweighted["log_likelihood"] - unweighted["kl"]
    assert unweighted["elbo"] < weighted["elbo"]


def test_patience_ends_a_run_that_no_longer_improves(tmp_path: Path) -> None:
    """
    With two epochs of patience a run that stands still ends after the third.

    An equal ELBO is not a better one.
    """
    run = images(tmp_path, learning_rate=1e-30, patience=2, epochs=50)

    state = run.fit(run.begin())

    assert is_complete(state, run.options)
    assert state.progress.epoch == 3
    assert state.progress.best_epoch == 1


@pytest.mark.slow("trains")
def test_the_best_weights_are_those_of_the_best_epoch(tmp_path: Path) -> None:
    """What is kept has the best validation ELBO of the journal, not the last."""
    # So fast that it jumps about.
    run = gaussian(
        tmp_path, epochs=12, learning_rate=0.3, schedule="constant", ema=None
    )

    state = run.fit(run.begin())

    journal = [line["validation"]["elbo"] for line in run.lines]
    held_out = torch.from_numpy(run.prepared.validation)
    kept = estimate_elbo(
        state.model(state.best), held_out, n_samples=1, seed=0
    ).bound.mean()
    assert int(np.argmax(journal)) + 1 == state.progress.best_epoch
    assert max(journal) == kept == state.progress.best_bound
    assert kept > journal[-1]


def test_the_average_is_what_is_judged_and_kept(tmp_path: Path) -> None:
    """
    The average follows a = a + (1 - d) (w - a), and the journal is about the average.

    The decay d is short at the start: (1 + n) / (10 + n) after n steps.
    """
    run = images(tmp_path, epochs=2, ema=0.6, learning_rate=0.05)
    state = run.begin()
    wanted = {name: w.clone() for name, w in state.weights.items()}

    def follow(state: State) -> None:
        n = state.progress.n_updates
        decay = min(0.6, (1 + n) / (10 + n))
        for name, weights in state.weights.items():
            wanted[name] += (1 - decay) * (weights - wanted[name])

    run.after_step = follow
    run.fit(state)

    held_out = torch.from_numpy(run.prepared.validation)
    average = state.model(state.average)
    judged = estimate_elbo(average, held_out, n_samples=1, seed=0).bound.mean()
    for name, weights in state.average.items():
        torch.testing.assert_close(weights, wanted[name])
    name = "decoder.eta.weight"
    assert not torch.equal(state.average[name], state.weights[name])
    assert torch.equal(state.average[name], state.best[name])
    assert run.lines[-1]["validation"]["elbo"] == judged


def diverging(where: Path) -> Trainer:
    """
    Return a run whose weights grow by half each step until the loss overflows.

    Decoupled weight decay multiplies them by 1 - 0.01 * 250 = -1.5.
    """
    return images(where, learning_rate=0.01, weight_decay=250.0, epochs=50)


def test_a_loss_that_overflows_names_epoch_and_step(tmp_path: Path) -> None:
    """The first step whose loss is not finite is named; the best weights stay."""
    run = diverging(tmp_path)
    state = run.begin()

    with pytest.raises(DivergedError) as failure:
        run.fit(state)

    terms = torch.isfinite(state.terms[: state.progress.step]).all(dim=1)
    step = terms.tolist().index(False) + 1
    assert state.progress.epoch >= 2
    assert str(failure.value).startswith("the loss became ")
    assert f"in epoch {state.progress.epoch + 1} at step {step};" in str(failure.value)
    assert len(run.lines) == state.progress.epoch
    assert all(torch.isfinite(w).all() for w in state.best.values())


def test_a_long_epoch_is_not_trained_to_its_end_in_vain(tmp_path: Path) -> None:
    """Steps without sense are noticed after a hundred of them, and the first named."""
    run = Trainer(
        dataclasses.replace(
            images(tmp_path).options,
            data=str(write_images(tmp_path / "more.npy", n=300)),
            batch_size=1,
        )
    )
    state = run.begin()

    def poison(state: State) -> None:
        state.weights["decoder.eta.bias"][3] = torch.nan

    run.after_step = poison
    with pytest.raises(DivergedError, match="became nan in epoch 1 at step 2;"):
        run.fit(state)

    assert state.progress.step == 101


@pytest.mark.parametrize("when", range(1, 10))
def test_the_state_on_disk_is_never_poisoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    """
    However often it is saved, what is on disk is finite.

    The weights become NaN after some step, which the losses up to then cannot show.
    """
    monkeypatch.setattr("model.train.fit._SECONDS_BETWEEN_SAVES", 0.0)
    run = images(tmp_path)

    def poison(state: State) -> None:
        if state.progress.n_updates == when:
            state.weights["decoder.eta.bias"][3] = torch.nan

    run.after_step = poison
    with pytest.raises(DivergedError, match=r"NaN|nan"):
        run.fit(run.begin())

    state = run.on_disk()
    assert state.progress.n_updates == when - 1
    assert all(torch.isfinite(w).all() for w in state.weights.values())
    assert all(torch.isfinite(w).all() for w in state.best.values())


@pytest.mark.slow("trains")
@pytest.mark.parametrize(
    "likelihood", ["bernoulli", "continuous_bernoulli", "gaussian"]
)
@pytest.mark.parametrize("optimizer", ["adam", "adagrad"])
@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_every_kind_of_model_learns(
    tmp_path: Path, network: str, optimizer: str, likelihood: str
) -> None:
    """Each network under each likelihood and optimizer gains ELBO on held-out rows."""
    run = images(
        tmp_path,
        network=network,
        optimizer=optimizer,
        likelihood=likelihood,
        channels=(4,) if network == "conv" else RunOptions.channels,
        learning_rate=0.01,
        epochs=8,
    )

    run.fit(run.begin())

    elbos = [line["validation"]["elbo"] for line in run.lines]
    assert elbos[-1] > elbos[0] + 0.1
