"""Build a VAE from two adopted graphs."""

from typing import NamedTuple, final

import numpy as np
import torch
from pydantic import ValidationError

from model.adopt.decoder import CONSTANT_LOG_VAR, adopt_decoder
from model.adopt.encoder import adopt_encoder
from model.adopt.layout import ExampleLayout
from model.adopt.measured import MeasuredData
from model.adopt.options import AdoptOptions
from model.config import FORMAT_VERSION, Config
from model.graph import Graph, Graphs, separate
from model.graph.pair import check_heads
from model.vae import VAE, empty


@final
class Adopted(NamedTuple):
    """
    A VAE of adopted networks.

    Attributes:
        meanings: What the outputs were taken for, in words.
        sigma: How a constant standard deviation is found; None if there is none.
    """

    vae: VAE
    examples: ExampleLayout
    meanings: tuple[str, ...]
    sigma: str | None


def assemble(
    encoder: Graph,
    decoder: Graph,
    options: AdoptOptions,
    *,
    measured: MeasuredData | None,
) -> Adopted:
    """
    Return the VAE, in evaluation mode, with a standard normal prior.

    Raises:
        ValueError: The networks do not fit each other or the options, or are not
            served.
    """
    first = adopt_encoder(encoder, options)
    second = adopt_decoder(decoder, options, first.examples, first.latent_dim)
    parts = separate(first.graph), separate(second.graph)
    n_data, n_heads = first.examples.n_values, len(second.graph.outputs)
    check_heads(parts[0].graph, n_in=n_data, n_out=first.latent_dim, n_heads=2)
    check_heads(parts[1].graph, n_in=first.latent_dim, n_out=n_data, n_heads=n_heads)
    config = _config(
        options,
        data_shape=first.examples.data_shape,
        latent_dim=first.latent_dim,
        data=_data(options, first.examples, measured),
    )
    vae = empty(config, Graphs(parts[0].graph, parts[1].graph))
    state = {
        f"{network}.graph.{name}": torch.from_numpy(np.array(values))
        for network, part in zip(("encoder", "decoder"), parts, strict=True)
        for name, values in part.weights.items()
    }
    vae.load_state_dict(state, assign=True)
    vae.requires_grad_(False).eval()
    return Adopted(vae, first.examples, (first.meaning, second.meaning), second.sigma)


def set_log_var(vae: VAE, log_var: torch.Tensor) -> None:
    """Set the constant log sigma^2 of a decoder, (1,) or (D,)."""
    for name, weight in vae.decoder.named_parameters():
        if name.endswith(CONSTANT_LOG_VAR):
            weight.copy_(log_var)


def _data(
    options: AdoptOptions, examples: ExampleLayout, measured: MeasuredData | None
) -> dict[str, object]:
    """Return the section of the configuration that describes the data."""
    found: dict[str, object] = {
        "name": options.name or options.out.resolve().name,
        "binarization": options.binarization or "none",
        "standardized": False,
    }
    if measured is None:
        is_image = len(examples.data_shape) > 1
        return found | {
            "divided_by": options.divided_by or (255.0 if is_image else 1.0)
        }
    dataset = measured.dataset
    return found | {
        "divided_by": options.divided_by or dataset.divided_by,
        "background": dataset.background,
        "turned_gray": dataset.turned_gray,
        "columns": dataset.columns or None,
        "column_units": dataset.column_units,
        "binarization": measured.prepared.binarization,
    }


def _config(
    options: AdoptOptions,
    *,
    data_shape: tuple[int, ...],
    latent_dim: int,
    data: dict[str, object],
) -> Config:
    gaussian = options.likelihood == "gaussian"
    document = {
        "format_version": FORMAT_VERSION,
        "data_shape": data_shape,
        "latent_dim": latent_dim,
        "likelihood": {
            "kind": options.likelihood,
            "sigma_floor": options.sigma_floor if gaussian else None,
        },
        "encoder": {"kind": "graph", "file": "encoder.onnx"},
        "decoder": {"kind": "graph", "file": "decoder.onnx"},
        "data": data,
    }
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where} of the model: {first['msg']}") from error
