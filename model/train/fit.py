"""Fit a VAE by stochastic gradient ascent on a bound (AEVB Algorithm 1)."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from model.data.preparation import Prepared
from model.train import schedules
from model.train.batches import Batches
from model.train.objectives import Objective
from model.train.options import RunOptions
from model.train.places import Places
from model.train.state import State, copy_weights
from model.train.validation import Validation, chosen_objective, validate
from model.vae import VAE

_SECONDS_BETWEEN_SAVES = 20.0
_STEPS_BETWEEN_CHECKS = 100


@final
class DivergedError(ArithmeticError):
    """The loss became NaN or infinite; the best weights before it are kept."""


@final
@dataclass(frozen=True, eq=False)
class Run:
    """
    What the training loop needs besides model and data.

    Attributes:
        places: Where the state is kept.
        identity: Identifies the run; saved with the state, so that runs are not mixed.
        stopped: Whether the run was asked to stop.
        on_step: Called after each step, to move a progress bar.
        on_epoch: Called with the journal's line after each epoch.
    """

    places: Places
    identity: dict[str, Any]
    stopped: Callable[[], bool]
    on_step: Callable[[], object]
    on_epoch: Callable[[dict[str, Any]], None]

    def save(self, state: State) -> None:
        """
        Write the state to disk.

        Raises:
            DivergedError: It has NaN or infinity; the last saved state is kept.
        """
        _check_finite(state)
        _check_weights(state)
        state.save(self.places.state, run=self.identity)

    def save_if_due(self, state: State) -> None:
        """Write the state to disk every 20 s, so that a kill loses at most that."""
        if time.monotonic() - state.saved_at > _SECONDS_BETWEEN_SAVES:
            self.save(state)


def fit(state: State, data: Prepared, options: RunOptions, run: Run) -> None:
    """
    Train until all epochs are done, patience has run out or the run is stopped.

    `state.best` has the weights with the best validation value of the bound that is
    trained on. From the state on disk, training can resume at any step, bit for bit.

    Raises:
        DivergedError: The loss is not finite; it names epoch and step.
    """
    device = state.terms.device
    validation = torch.from_numpy(data.validation).to(device)
    batches = Batches(
        x=torch.from_numpy(data.train).to(device),
        size=options.batch_size,
        seed=options.seed,
        dynamic=data.binarization == "dynamic",
        n_columns=data.n_columns,
    )
    objective = chosen_objective(options)
    if options.compile:
        # One program per batch size: bits must not depend on which size runs first.
        objective = torch.compile(objective, dynamic=False)

    run.save_if_due(state)  # at once, so that there is a run to resume
    while not (is_complete(state, options) or run.stopped()):
        started, first_step = time.perf_counter(), state.progress.step
        if not _epoch(state, batches, objective, options, run):
            break
        n_seen = len(batches.x) - first_step * batches.size
        speed = n_seen / (time.perf_counter() - started)
        found = validate(_model_to_evaluate(state), validation, options)
        line = _line(state, batches, found, options, speed)
        _end_epoch(state, found.bound)
        run.on_epoch(line)
        run.save_if_due(state)
    run.save(state)


def is_complete(state: State, options: RunOptions) -> bool:
    """Return whether all epochs are done or patience has run out."""
    progress = state.progress
    if progress.epoch >= options.epochs:
        return True
    if not options.patience or progress.best_epoch is None:
        return False
    since = max(progress.best_epoch, progress.extended_at)
    return progress.epoch - since >= options.patience


def _epoch(
    state: State,
    batches: Batches,
    objective: Objective,
    options: RunOptions,
    run: Run,
) -> bool:
    """Take the remaining steps of an epoch; return False if stopped before its end."""
    progress = state.progress
    order = batches.order(progress.epoch)
    for step in range(progress.step, batches.n_steps):
        x = batches.rows(order, progress.epoch, step)
        shape = (options.n_samples, len(x), options.latent_dim)
        eps = batches.eps(shape, progress.epoch, step)

        _update(state, objective, x, eps, options, batches.n_steps)

        run.on_step()
        if step % _STEPS_BETWEEN_CHECKS == 0:
            _check_finite(state)
        if step + 1 < batches.n_steps:
            if run.stopped():
                return False
            run.save_if_due(state)
    _check_finite(state)
    return True


def _update(
    state: State,
    objective: Objective,
    x: Tensor,
    eps: Tensor,
    options: RunOptions,
    n_steps: int,
) -> None:
    """Take one step of the optimizer."""
    progress = state.progress
    done = progress.n_updates / (options.epochs * n_steps)
    weight = schedules.kl_weight(options, progress.n_updates / n_steps)
    for group in state.optimizer.param_groups:
        group["lr"] = schedules.learning_rate(options, done)

    loss, terms = objective(state.vae, x, eps, x.new_tensor(weight))
    state.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
    state.optimizer.step()

    state.terms[progress.step, 0] = terms.log_likelihood.detach()
    state.terms[progress.step, 1] = terms.kl.detach()
    progress.step += 1
    progress.n_updates += 1
    if options.ema is not None:
        decay = schedules.average_decay(options.ema, progress.n_updates)
        torch._foreach_lerp_(
            list(state.average.values()), list(state.weights.values()), 1 - decay
        )


def _check_finite(state: State) -> None:
    progress = state.progress
    finite = torch.isfinite(state.terms[: progress.step]).all(dim=1)
    if not finite.all():
        step = int((~finite).nonzero()[0, 0]) + 1
        raise DivergedError(
            f"the loss became {state.terms[step - 1].sum().item()} in epoch "
            f"{progress.epoch + 1} at step {step}; try a lower --learning-rate"
        )


def _check_weights(state: State) -> None:
    # No loss has been computed with the weights of the last step yet.
    if not all(torch.isfinite(weights).all() for weights in state.weights.values()):
        raise DivergedError(
            f"the weights became NaN or infinite in epoch {state.progress.epoch + 1} "
            f"by step {state.progress.step}; try a lower --learning-rate"
        )


def _model_to_evaluate(state: State) -> VAE:
    """Return the model to evaluate: with averaged weights if there is an average."""
    return state.model(state.average) if state.average else state.vae


def _line(
    state: State,
    batches: Batches,
    validation: Validation,
    options: RunOptions,
    speed: float,
) -> dict[str, Any]:
    """Return the line of the journal for the epoch that just ended."""
    weighted = state.terms.double().cpu() * batches.sizes[:, None]
    means = weighted.sum(dim=0) / len(batches.x)
    log_likelihood, kl = means.tolist()
    log_likelihood += state.vae.log_jacobian
    evaluation = validation.evaluation
    return {
        "epoch": state.progress.epoch + 1,
        "train": {
            "elbo": log_likelihood - kl,
            "log_likelihood": log_likelihood,
            "kl": kl,
        },
        "validation": {
            "bound": validation.bound,
            "elbo": float(evaluation.bound.mean()),
            "log_likelihood": float(evaluation.log_likelihood.mean()),
            "kl": float(evaluation.kl.mean()),
        },
        "active_units": evaluation.n_active,
        "learning_rate": state.optimizer.param_groups[0]["lr"],
        "kl_weight": schedules.kl_weight(options, state.progress.epoch + 1),
        "examples_per_second": round(speed),
    }


def _end_epoch(state: State, bound: float) -> None:
    """Count the epoch, and keep the weights if they are the best on validation."""
    progress = state.progress
    if not math.isfinite(bound):
        raise DivergedError(
            f"the validation bound became {bound} in epoch {progress.epoch + 1}; "
            "try a lower --learning-rate"
        )
    progress.epoch, progress.step = progress.epoch + 1, 0
    if progress.best_bound is None or bound > progress.best_bound:
        progress.best_bound, progress.best_epoch = bound, progress.epoch
        state.best = copy_weights(state.average or state.weights)
