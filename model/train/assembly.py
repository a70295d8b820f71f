"""Build what a run trains from its options and data: config, model, optimiser."""

from pathlib import Path

import torch
from pydantic import ValidationError

from model import checkpoint
from model.config import FORMAT_VERSION, Config
from model.data import Dataset
from model.networks import Standardization
from model.train.options import Options
from model.train.preparation import Affine, Prepared
from model.train.state import State
from model.vae import VAE, empty, initialized


def configure(options: Options, dataset: Dataset, prepared: Prepared) -> Config:
    """
    Write down the model, nothing left to a default.

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
            "divided_by": dataset.divided_by,
            "binarization": prepared.binarization,
            "standardized": prepared.standardization is not None,
        },
    }
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        raise ValueError(_sentence(error)) from error


def start(
    config: Config, options: Options, prepared: Prepared, device: torch.device
) -> State:
    """
    Return the state of a run before its first step.

    Raises:
        ValueError: --init-from names no checkpoint, or that of another architecture.
    """
    vae = _first_model(config, options, prepared).to(device)
    return State(
        vae,
        _optimizer(vae, options),
        n_steps=-(-len(prepared.train) // options.batch_size),
        averaged=options.ema is not None,
    )


def _first_model(config: Config, options: Options, prepared: Prepared) -> VAE:
    # A run that goes on has weights of its own.
    if options.init_from is not None and options.resume is None:
        return _trained_before(config, options.init_from)
    vae = initialized(config, seed=options.seed)
    if prepared.standardization is not None:
        _set_standardization(vae, prepared.standardization)
    return vae


def _trained_before(config: Config, path: Path) -> VAE:
    """Return a model with the weights, and the shift and scale, of a checkpoint."""
    loaded = checkpoint.load(path)
    for name in ("data_shape", "latent_dim", "likelihood", "encoder", "decoder"):
        before, now = getattr(loaded.config, name), getattr(config, name)
        if before != now:
            raise ValueError(f"--init-from {path}: {name} is {before}, not {now}")
    for name in ("divided_by", "standardized"):
        before, now = getattr(loaded.config.data, name), getattr(config.data, name)
        if before != now:
            raise ValueError(f"--init-from {path}: data.{name} is {before}, not {now}")
    vae = empty(config)
    vae.load_state_dict(loaded.vae.state_dict(), assign=True)
    return vae


def choose_device(name: str) -> torch.device:
    """Return the device of that name; auto is a GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: this machine or this build of torch has none")
    return torch.device(name)


def _network(options: Options, hidden: tuple[int, ...]) -> dict[str, object]:
    if options.network == "mlp":
        return {"kind": "mlp", "hidden": hidden, "activation": options.activation}
    return {
        "kind": "conv",
        "channels": options.channels,
        "hidden": hidden[0],
        "activation": options.activation,
    }


def _sentence(error: ValidationError) -> str:
    """Say in one sentence what pydantic says in a paragraph."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":  # raised by the schema itself, in full
        return str(first["ctx"]["error"])
    where = ".".join(str(part) for part in first["loc"])
    return f"{where} of the model: {first['msg']}, got {first['input']}"


def _set_standardization(vae: VAE, affine: Affine) -> None:
    for module in vae.modules():
        if isinstance(module, Standardization):
            module.shift.copy_(torch.from_numpy(affine.shift))
            module.scale.copy_(torch.from_numpy(affine.scale))


def _optimizer(vae: VAE, options: Options) -> torch.optim.Optimizer:
    family = torch.optim.AdamW if options.optimizer == "adam" else torch.optim.Adagrad
    # Fused: one pass over memory per step instead of a dozen.
    return family(
        vae.parameters(),
        lr=options.learning_rate,
        weight_decay=options.weight_decay,
        fused=True,
    )
