"""The schedules of a run: learning rate, KL weight and decay of the average."""

import math

from model.train.options import RunOptions


def learning_rate(options: RunOptions, done: float) -> float:
    """Return the learning rate after a fraction `done` of all steps."""
    if options.schedule == "linear":
        return options.learning_rate * (1 - done)
    if options.schedule == "cosine":  # Loshchilov & Hutter (2017), without restarts
        return options.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
    return options.learning_rate


def kl_weight(options: RunOptions, epochs_done: float) -> float:
    """Return the weight of the KL: from 0 to beta over the warm-up, then beta."""
    if epochs_done >= options.kl_warmup_epochs:
        return options.beta
    return options.beta * epochs_done / options.kl_warmup_epochs


def average_decay(decay: float, n_updates: int) -> float:
    """Return the EMA's decay; it is smaller at first, to forget the first weights."""
    return min(decay, (1 + n_updates) / (10 + n_updates))
