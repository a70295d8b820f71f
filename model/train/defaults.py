"""Choose the options that are not given, by the size and kind of the data."""

import math
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.config import LikelihoodName
from model.data import Dataset
from model.train.likelihood_choice import choose_likelihood
from model.train.options import RunOptions, TrainOptions

_STEPS = 4_000, 60_000  # of a run, unless early stopping ends it
_EPOCHS = 10, 400
_PASSES = 200
_VALIDATION_DRAWS = 2_000  # rows times draws of a validation bound
_FEW_ROWS, _FEW_FEATURES = 3_000, 128  # of a table, and of its encoder
_TABLE_COMPONENTS = 10
_WIDEST_OF_TWO_LAYERS = 256
_LEAST_ROWS, _MOST_ROWS, _MOST_COLUMNS = 30, 20_000, 512  # to look for correlations
_DEVIATIONS = 4.0  # of a correlation that is more than chance
_WARMUP = 0.05  # of the epochs, where training starts from random weights


class _Size(NamedTuple):
    """The options of a table by the number of values that its encoder gets."""

    hidden: tuple[int, ...]
    weight_decay: float
    n_steps_of_few_rows: int
    n_steps_of_many_rows: int


_NARROW = _Size(
    hidden=(256, 128),
    weight_decay=1e-4,
    n_steps_of_few_rows=2_500,
    n_steps_of_many_rows=5_000,
)
# A wide encoder learns its training rows by heart, unless its weights decay.
_WIDE = _Size(
    hidden=(512, 256),
    weight_decay=0.1,
    n_steps_of_few_rows=2_500,
    n_steps_of_many_rows=8_000,
)


class ChosenOptions(NamedTuple):
    """The options of a run, and lines that say what was chosen and why."""

    options: RunOptions
    lines: tuple[str, ...]


def choose(options: TrainOptions, dataset: Dataset) -> ChosenOptions:
    """
    Fill in what is not given, by the preset.

    Raises:
        ValueError: Options do not go with the likelihood that was chosen.
    """
    if isinstance(options, RunOptions):  # a resumed run has chosen before
        return ChosenOptions(options, ())
    if options.preset == "paper":
        return ChosenOptions(_fill(options, {}), ())
    likelihood = options.likelihood
    lines: tuple[str, ...] = ()
    if likelihood == "auto":
        likelihood, reason = choose_likelihood(dataset, options)
        lines += (f"--likelihood {likelihood}: {reason}.",)
    chosen = _by_size(options, dataset, likelihood)
    filled = _fill(options, {**chosen, "likelihood": likelihood})
    filled.check()
    words = [
        f"--{name.replace('_', '-')} {_shown(getattr(filled, name))}"
        for name in chosen
        if getattr(options, name) is None
    ]
    if words:
        n, d = dataset.train.x.shape
        lines += (f"Chosen for {n:,} rows of {d:,} values: {' '.join(words)}",)
    return ChosenOptions(filled, lines)


def _by_size(
    options: TrainOptions, dataset: Dataset, likelihood: LikelihoodName
) -> dict[str, Any]:
    """Return the options of the preset auto."""
    if likelihood == "table":
        return _of_table(options, dataset)
    n, d = dataset.train.x.shape
    latent_dim = min(d, 32 if likelihood == "gaussian" else 20)
    batch_size = options.batch_size or max(1, min(100, n // 20))
    steps_per_epoch = math.ceil(n / batch_size)
    least, most = _STEPS
    n_steps = _clamp(_PASSES * steps_per_epoch, least, most)
    epochs = options.epochs or _epochs(n_steps, steps_per_epoch)
    linear = starts_linearly(options, likelihood) and are_correlated(dataset.train.x)
    start = options.start or ("linear" if linear else "random")
    return {
        "hidden": _hidden(d, likelihood, options),
        "activation": "silu",
        "noise": "decoder",
        "start": start,
        "latent_dim": latent_dim,
        "n_samples": 1 if options.objective == "elbo" else 8,
        "learning_rate": _rate_from_linear(d) if start == "linear" else 2e-3,
        "batch_size": batch_size,
        "epochs": epochs,
        "kl_warmup_epochs": _warmup(options, epochs) if start == "random" else 0,
        "weight_decay": 1e-2,
        "patience": max(10, epochs // 5),
        "validation_samples": _validation_draws(dataset),
    }


def _of_table(options: TrainOptions, dataset: Dataset) -> dict[str, Any]:
    """Return the options of the preset auto for a table of mixed columns."""
    assert dataset.table is not None  # noqa: S101  the likelihood needs one
    n = len(dataset.train.x)
    batch_size = options.batch_size or max(1, min(256, n // 8))
    steps_per_epoch = math.ceil(n / batch_size)
    size = _WIDE if dataset.table.n_features > _FEW_FEATURES else _NARROW
    is_small = n <= _FEW_ROWS
    n_steps = size.n_steps_of_few_rows if is_small else size.n_steps_of_many_rows
    epochs = options.epochs or _epochs(n_steps, steps_per_epoch)
    return {
        "hidden": size.hidden,
        "activation": "silu",
        "noise": "decoder",
        "start": "random",
        "latent_dim": 16,
        **_prior_of_table(options),
        "n_samples": 1 if options.objective == "elbo" else 8,
        "learning_rate": 3e-3,
        "batch_size": batch_size,
        "epochs": epochs,
        "kl_warmup_epochs": _warmup(options, epochs),
        "weight_decay": size.weight_decay,
        "patience": max(10, epochs // 5),
        "validation_samples": _validation_draws(dataset),
    }


def _epochs(n_steps: int, steps_per_epoch: int) -> int:
    """Return the number of epochs for so many steps."""
    least, most = _EPOCHS
    return _clamp(math.ceil(n_steps / steps_per_epoch), least, most)


def _warmup(options: TrainOptions, epochs: int) -> int:
    """Return the epochs in which the KL is weighted less, after a random start."""
    return round(_WARMUP * epochs) if options.objective == "elbo" else 0


def _validation_draws(dataset: Dataset) -> int:
    """Return the draws of z for each validation row."""
    n_rows = len(dataset.validation.x)
    return _clamp(math.ceil(_VALIDATION_DRAWS / n_rows), 1, 256)


def _prior_of_table(options: TrainOptions) -> dict[str, Any]:
    """Return a mixture, which fits the groups that rows of a table often have."""
    if options.prior not in (None, "mixture") or options.free_bits:
        return {}
    return {"prior": "mixture", "components": _TABLE_COMPONENTS}


def _rate_from_linear(d: int) -> float:
    """Return the learning rate after a linear start of D values, with one digit."""
    return float(f"{4e-3 * min(1, math.sqrt(64 / d)):.0e}")


def _hidden(
    d: int, likelihood: LikelihoodName, options: TrainOptions
) -> tuple[int, ...]:
    """Return two layers for few real numbers, else one."""
    width = _width(d)
    is_deep = (
        likelihood == "gaussian"
        and options.network == "mlp"
        and width <= _WIDEST_OF_TWO_LAYERS
    )
    return (width, width) if is_deep else (width,)


def starts_linearly(options: TrainOptions, likelihood: LikelihoodName) -> bool:
    """Say whether a linear model is a start, if the columns are correlated."""
    is_mlp = options.network == "mlp" and options.init_from is None
    return is_mlp and likelihood == "gaussian"


def are_correlated(x: NDArray[np.floating[Any]]) -> bool:
    """
    Say whether columns of rows, (N, D), are correlated, more than by chance.

    A linear model of uncorrelated columns has no use for z, and a network that starts
    as one finds none. The first rows decide; wide data are taken to be correlated.
    """
    n, d = x.shape
    if d > _MOST_COLUMNS:
        return True
    if n < _LEAST_ROWS:
        return bool(d > 1)
    rows = x[:_MOST_ROWS].astype(np.float64)
    centered = rows - rows.mean(axis=0)
    # By a power of two, so that squares fit float64 whatever the unit of a column.
    _, exponent = np.frexp(np.abs(centered).max(axis=0))
    centered = np.ldexp(centered, -exponent)
    scale = np.sqrt(np.square(centered).sum(axis=0))
    centered /= np.where(scale > 0, scale, 1)
    largest: float = np.abs(np.triu(centered.T @ centered, k=1)).max()
    return largest > _DEVIATIONS / math.sqrt(len(rows))


def _width(d: int) -> int:
    """Return the hidden width for D values: a power of two near 4 D, 64 to 512."""
    return _clamp(1 << math.ceil(math.log2(4 * d)), 64, 512)


def _clamp(value: int, least: int, most: int) -> int:
    return min(max(value, least), most)


def _fill(options: TrainOptions, chosen: dict[str, Any]) -> RunOptions:
    """Return the options that are given, else those chosen, else the paper's."""
    named = {field.name: getattr(options, field.name) for field in fields(options)}
    given = {
        name: value
        for name, value in named.items()
        if value is not None and (name, value) != ("likelihood", "auto")
    }
    return replace(RunOptions(), **{**chosen, **given, "ema": options.ema})


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
