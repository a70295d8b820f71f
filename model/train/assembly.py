"""Build config, model and optimizer of a run from its options and data."""

import shlex
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from model import checkpoint
from model.config import FORMAT_VERSION, Config
from model.data import Dataset
from model.data.preparation import Array, Prepared
from model.data_config import Data
from model.noise import Stream, generator
from model.prior_weights import VampWeights
from model.tables.fitting import fit_marginals
from model.tables.likelihood import initial_parameters
from model.tables.marginals import Marginals
from model.train import saved_state
from model.train.baselines import LinearGaussian
from model.train.initial import initial_checkpoint
from model.train.linear_start import set_linear_start
from model.train.optimizers import Adagrad, AdamW
from model.train.options import NoiseName, RunOptions
from model.train.places import Places
from model.train.state import State
from model.units import Units
from model.vae import VAE, initial_vae

_PSEUDO_INPUT_NOISE = 0.01
_UNITS = ("shift", "scale")


def configure(options: RunOptions, dataset: Dataset, prepared: Prepared) -> Config:
    """
    Return the complete configuration of the model.

    Raises:
        ValueError: The options do not fit the data, such as a conv network for a table.
    """
    gaussian = options.likelihood == "gaussian"
    document = {
        "format_version": FORMAT_VERSION,
        "data_shape": dataset.data_shape,
        "latent_dim": options.latent_dim,
        "likelihood": {
            "kind": options.likelihood,
            "sigma_floor": options.sigma_floor if gaussian else None,
        },
        "encoder": _network(options, options.hidden),
        "decoder": _network(options, options.hidden[::-1]),
        "data": {
            "name": dataset.name,
            "background": dataset.background,
            "turned_gray": dataset.turned_gray,
            "columns": dataset.columns or None,
            "column_units": dataset.column_units,
            "divided_by": dataset.raw.divided_by,
            "divisors": dict(dataset.raw.divisors),
            "value_range": dataset.raw.value_range,
            "binarization": prepared.binarization,
            "standardized": prepared.units is not None,
        },
        "prior": _prior(options),
        "table": prepared.marginals and prepared.marginals.layout.schema,
    }
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        raise ValueError(_sentence(error)) from error


def inherited_units(options: RunOptions, places: Places) -> Units | None:
    """
    Return the units of the run to resume, or of --init-from; None if there are none.

    Raises:
        ValueError: The run or the checkpoint cannot be read.
    """
    if options.resume is not None:
        saved = saved_state.read(places.state).tensors
        shift, scale = (saved.get(f"weights.standardization.{k}") for k in _UNITS)
        if shift is None or scale is None or not (scale > 0).all():
            return None  # damaged, as the check of the state will say
        return Units(shift.numpy(), scale.numpy())
    if options.init_from is not None:
        return checkpoint.load(initial_checkpoint(options.init_from)).vae.units
    return None


def table_marginals(options: RunOptions, dataset: Dataset) -> Marginals:
    """
    Return the marginals of a table: those of --init-from, or fitted to training rows.

    Raises:
        ValueError: The data are no table of columns, or the columns of --init-from are
            others.
    """
    schema = dataset.table
    if schema is None:
        raise ValueError(
            "--likelihood table needs a table in text, such as a .csv, got"
            f" {dataset.name}"
        )
    if options.init_from is not None and options.resume is None:
        before = checkpoint.load(initial_checkpoint(options.init_from)).vae.marginals
        if before is None or before.layout.schema.columns != schema.columns:
            raise ValueError(
                f"--init-from {options.init_from}: its columns are not those of the"
                " data; give the file of its columns with --columns"
            )
        return before
    fitted = fit_marginals(schema, dataset.train.x, seed=options.seed)
    marginals = Marginals(fitted.schema)
    marginals.set(fitted.knots, fitted.masses, fitted.shares)
    return marginals


def start(
    config: Config,
    options: RunOptions,
    prepared: Prepared,
    device: torch.device,
    law: LinearGaussian | None = None,
) -> State:
    """
    Return the state of a run before its first step.

    Args:
        law: What the model is at the start, in the network's units; random if None.

    Raises:
        ValueError: --init-from is not a checkpoint, or has another architecture.
    """
    vae = first_model(config, options, prepared, law).to(device)
    _restrict_noise(vae, options.noise)
    return State(
        vae,
        _optimizer(vae, options),
        n_steps=-(-len(prepared.train) // options.batch_size),
        averaged=options.ema is not None,
    )


def first_model(
    config: Config,
    options: RunOptions,
    prepared: Prepared,
    law: LinearGaussian | None,
) -> VAE:
    """Return the model before its first step, as in `start`."""
    # A resumed run has its own weights.
    if options.init_from is not None and options.resume is None:
        before = initial_checkpoint(options.init_from)
        return _trained_before(before, config, options.seed, prepared)
    vae = initial_vae(config, seed=options.seed)
    if prepared.units is not None:
        _set_units(vae, prepared.units)
    if prepared.marginals is not None:
        _set_marginals(vae, prepared.marginals)
    _set_pseudo_inputs(vae, prepared.train, options.seed)
    if law is not None:
        set_linear_start(vae, law)
    return vae


def _trained_before(path: Path, config: Config, seed: int, prepared: Prepared) -> VAE:
    """Return a model with the weights, and the shift and scale, of a checkpoint."""
    loaded = checkpoint.load(path)
    if loaded.vae.graphs is not None:
        raise ValueError(
            f"--init-from {path}: its networks are ONNX graphs, which are served and "
            "not trained further; train them where they come from"
        )
    for name in ("data_shape", "latent_dim", "likelihood", "encoder", "decoder"):
        before, now = getattr(loaded.config, name), getattr(config, name)
        if before != now:
            raise ValueError(f"--init-from {path}: {name} is {before}, not {now}")
    _check_data(path, loaded.config.data, config.data)
    vae = initial_vae(config, seed=seed)
    has_same_prior = loaded.config.prior == config.prior
    parts: tuple[str, ...] = ("encoder.", "decoder.", "standardization.")
    if has_same_prior:  # the other weights have equal names and shapes
        parts += ("prior.",)
    before = loaded.vae.state_dict()
    # Without the head for missing cells, which is fitted after training.
    now = vae.state_dict()
    taken = {k: w for k, w in before.items() if k.startswith(parts) and k in now}
    vae.load_state_dict({**now, **taken})
    if not has_same_prior:
        _set_pseudo_inputs(vae, prepared.train, seed)
    return vae


def _check_data(path: Path, before: Data, now: Data) -> None:
    """Check that the data of --init-from are prepared as those of the run."""
    columns, found = before.columns, now.columns
    if columns and found and columns != found:
        raise ValueError(
            f"--init-from {path}: its columns are {', '.join(columns)}, not"
            f" {', '.join(found)}; give --columns {shlex.join(columns)}"
        )
    units = ("column_units",) if before.column_units else ()  # else unknown
    for name in ("divided_by", "standardized", *units):
        was, is_now = getattr(before, name), getattr(now, name)
        if was != is_now:
            raise ValueError(f"--init-from {path}: data.{name} is {was}, not {is_now}")


def _network(options: RunOptions, hidden: tuple[int, ...]) -> dict[str, object]:
    if options.network == "mlp":
        return {"kind": "mlp", "hidden": hidden, "activation": options.activation}
    return {
        "kind": "conv",
        "channels": options.channels,
        "hidden": hidden[0],
        "activation": options.activation,
    }


def _prior(options: RunOptions) -> dict[str, object]:
    if options.prior == "standard":
        return {"kind": "standard_normal"}
    kind = {"mixture": "gaussian_mixture", "vamp": "vamp"}[options.prior]
    return {"kind": kind, "n_components": options.components}


def _sentence(error: ValidationError) -> str:
    """Return the first error of pydantic's report as one sentence."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":  # raised by the schema itself, in full
        return str(first["ctx"]["error"])
    where = ".".join(str(part) for part in first["loc"])
    return f"{where} of the model: {first['msg']}, got {first['input']}"


def _set_units(vae: VAE, units: Units) -> None:
    for module in (vae.standardization, vae.encoder.standardization):
        if module is not None:
            module.shift.copy_(torch.from_numpy(units.shift))
            module.scale.copy_(torch.from_numpy(units.scale))


@torch.no_grad()
def _set_marginals(vae: VAE, marginals: Marginals) -> None:
    """Take the marginals of the data, at which the decoder starts whatever z is."""
    assert vae.marginals is not None  # noqa: S101  the configuration has a table
    vae.marginals.load_state_dict(marginals.state_dict())
    weight, bias = vae.decoder.eta.parameters()
    weight.zero_()
    bias.copy_(initial_parameters(marginals))


@torch.no_grad()
def _set_pseudo_inputs(vae: VAE, train: Array, seed: int) -> None:
    """
    Set the pseudo-inputs of a VampPrior to rows of the training data plus some noise.

    As in Tomczak & Welling (2018). The rows are distinct if there are enough. The noise
    has a standard deviation of 0.01 in the units of the encoder's layers.
    """
    if not isinstance(vae.prior, VampWeights):
        return
    n_components = len(vae.prior.pseudo_inputs)
    draw = generator(seed, Stream.INITIALIZATION, 1)
    rows = draw.choice(len(train), n_components, replace=n_components > len(train))
    x = vae.encoder.standardized(torch.from_numpy(train[rows]))
    noise = torch.from_numpy(draw.standard_normal(x.shape, dtype=np.float32))
    vae.prior.pseudo_inputs.copy_(x + _PSEUDO_INPUT_NOISE * noise)


@torch.no_grad()
def _restrict_noise(vae: VAE, noise: NoiseName) -> None:
    """Make the noise of a Gaussian decoder a constant that is learned, as asked for."""
    if noise == "decoder":
        return
    for name, parameter in vae.decoder.log_var.named_parameters():
        if name.endswith("weight"):
            parameter.zero_()
            parameter.requires_grad_(False)
        elif noise == "model":
            parameter.fill_(float(parameter.mean()))
            # One step for all keeps them equal.
            parameter.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: gradient.mean().expand_as(gradient)
            )


def _optimizer(vae: VAE, options: RunOptions) -> torch.optim.Optimizer:
    family = AdamW if options.optimizer == "adam" else Adagrad
    # Fused: one pass over memory per step instead of a dozen.
    return family(
        [parameter for parameter in vae.parameters() if parameter.requires_grad],
        lr=options.learning_rate,
        weight_decay=options.weight_decay,
        fused=True,
    )
