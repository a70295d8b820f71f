"""The schedules of a run: learning rate, KL weight and decay of the average."""

import math

from model.train.options import TrainOptions


def learning_rate(options: TrainOptions, done: float) -> float:
    """Return the learning rate after a fraction `done` of all steps."""
    if options.schedule == "linear":
        return options.learning_rate * (1 - done)
    if options.schedule == "cosine":  # Loshchilov & Hutter (2017), without restarts
        return options.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
    return options.learning_rate


def kl_weight(options: TrainOptions, epochs_done: float) -> float:
    """Return the weight of the KL in the loss: 0 to 1 over the warm-up, then 1."""
    if epochs_done >= options.kl_warmup_epochs:
        return 1.0
    return epochs_done / options.kl_warmup_epochs


def average_decay(decay: float, n_updates: int) -> float:
    """Return the EMA's decay; it is smaller at first, to forget the first weights."""
    return min(decay, (1 + n_updates) / (10 + n_updates))
