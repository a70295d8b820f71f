"""Decide everything about a run before its first step."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import torch

from model.config import Config
from model.data import Dataset
from model.data.preparation import Prepared, prepare, prepare_table
from model.dataset_elbo import estimate_elbo
from model.likelihoods import LIKELIHOODS
from model.train import resumption
from model.train.assembly import (
    configure,
    first_model,
    inherited_units,
    start,
    table_marginals,
)
from model.train.baselines import LinearGaussian
from model.train.comparison import Comparison, compare
from model.train.defaults import are_correlated, choose, starts_linearly
from model.train.linear_start import max_start_factors
from model.train.options import RunOptions, TrainOptions
from model.train.places import Places
from model.train.progress import phase
from model.train.state import State
from model.vae import VAE

_MAX_FACTORS = 64


@final
@dataclass(frozen=True, eq=False)
class Plan:
    """
    A run before its first step.

    Attributes:
        options: With nothing left to choose.
        choices: Lines that say what was chosen and why.
        identity: Identifies the run, as in `resumption.identity`.
    """

    dataset: Dataset
    prepared: Prepared
    options: RunOptions
    choices: tuple[str, ...]
    config: Config
    places: Places
    identity: dict[str, Any]

    @cached_property
    def comparison(self) -> Comparison:
        """The baselines, fitted."""
        with phase("baselines"):
            return compare(
                self.prepared,
                LIKELIHOODS[self.options.likelihood],
                floor=self.options.sigma_floor,
                max_factors=_MAX_FACTORS,
            )

    @cached_property
    def law(self) -> LinearGaussian | None:
        """What the model is at the start; None for random weights."""
        if self.options.start == "random":
            return None
        return self.comparison.start(max_factors=max_start_factors(self.config))

    @cached_property
    def fallback(self) -> LinearGaussian | None:
        """
        What is kept if training does not find better: the start, if it is linear.

        After a random start for uncorrelated columns, it is the linear model too.
        """
        if self.law is not None or self.options.preset == "paper":
            return self.law
        if not starts_linearly(self.options, self.options.likelihood):
            return None
        n_factors = max_start_factors(self.config)
        if not n_factors or are_correlated(self.prepared.train):
            return None
        return self.comparison.start(max_factors=n_factors)

    def start(self, device: torch.device) -> State:
        """Return the state before the first step."""
        law = self.law if self.options.resume is None else None
        return start(self.config, self.options, self.prepared, device, law)


@final
@dataclass(frozen=True, eq=False)
class Kept:
    """The model to publish, and the epoch it is from; 0 for the start."""

    vae: VAE
    epoch: int


def make_plan(
    options: TrainOptions, dataset: Dataset, places: Places, command: Sequence[str]
) -> Plan:
    """
    Choose what is not given, and prepare the data.

    Raises:
        ValueError: The options do not fit the data.
    """
    run, choices = choose(options, dataset)
    standardize = run.standardize
    if run.likelihood == "table":
        prepared = prepare_table(dataset, table_marginals(run, dataset))
    else:
        prepared = prepare(
            dataset,
            likelihood=LIKELIHOODS[run.likelihood],
            how=run.binarization,
            standardize=(
                run.likelihood == "gaussian" if standardize is None else standardize
            ),
            units=inherited_units(run, places),
            seed=run.test_seed,
        )
    config = configure(run, dataset, prepared)
    if run.start == "linear" and not max_start_factors(config):
        if options.start == "linear":
            raise ValueError(
                "--start linear needs --network mlp, --activation silu or relu, and "
                "--hidden of 2 or more"
            )
        run = dataclasses.replace(run, start="random")
    return Plan(
        dataset=dataset,
        prepared=prepared,
        options=run,
        choices=choices,
        config=config,
        places=places,
        identity=resumption.identity(run, dataset, command),
    )


def choose_kept(plan: Plan, state: State) -> Kept:
    """
    Return the best weights, or a linear model if they are not clearly better.

    The best of many epochs on few rows is partly luck: it has to be better than the
    fallback of the plan by one standard error of the difference.
    """
    best = Kept(state.model(state.best), state.progress.best_epoch or 0)
    if plan.fallback is None or plan.options.objective != "elbo":
        return best
    device = state.terms.device
    first = first_model(plan.config, plan.options, plan.prepared, plan.fallback)
    first = first.to(device).requires_grad_(False).eval()
    x = torch.from_numpy(plan.prepared.validation).to(device)
    options = plan.options
    after, before = (
        estimate_elbo(
            vae, x, n_samples=options.test_samples, seed=options.test_seed
        ).bound
        for vae in (best.vae, first)
    )
    difference = after - before
    n = len(difference)
    error = difference.std(ddof=1) / n**0.5 if n > 1 else 0.0
    return best if difference.mean() > error else Kept(first, 0)
