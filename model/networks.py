"""The encoder and decoder: hidden layers (the torso), then one head per parameter."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from model.config import Activation, Config, Conv, Mlp, OnnxGraph
from model.convolution_sizes import conv_grid
from model.distributions import (
    Bernoulli,
    ContinuousBernoulli,
    DiagonalGaussian,
    Gaussian,
    Likelihood,
)
from model.graph import Graph, GraphNetwork
from model.layers import Conv2d, ConvTranspose2d, Linear
from model.tables.features import TableFeatures
from model.tables.layout import TableLayout
from model.tables.likelihood import Table
from model.tables.marginals import Marginals
from model.tables.missing_cells import MissingCells

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
}
Heads = tuple[Tensor, ...]

_KERNEL, _STRIDE, _PADDING = 4, 2, 1  # halves an even height or width exactly


@final
class Standardization(nn.Module):
    """
    The first layer of an encoder of data in a range, x -> (x - shift) / scale.

    The two are buffers, not parameters: training computes them from the data and does
    not optimize them. Data without a range are standardized before the networks see
    them, by `model.units`.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, data_dim: int) -> None:
        super().__init__()
        self.register_buffer("shift", torch.empty(data_dim))
        self.register_buffer("scale", torch.empty(data_dim))
        self.reset()

    def reset(self) -> None:
        """Set it to the identity."""
        self.shift.zero_()
        self.scale.fill_(1)


@final
class ToChannels(nn.Module):
    """Reshape (N, H*W*C) to (N, C, H, W), the layout of convolutions."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), self.height, self.width, -1).permute(0, 3, 1, 2)


@final
class FromChannels(nn.Module):
    """Reshape (N, C, H, W) to (N, H*W*C), the layout of data."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(start_dim=1)


@final
class Encoder(nn.Module):
    """
    Map x to q(z|x), a diagonal Gaussian (AEVB App. C.2); its parameters are phi.

    The torso's output goes to two heads, mu and log sigma^2. A network that was trained
    elsewhere is a graph instead, with the same two outputs.
    """

    graph: GraphNetwork | None

    def __init__(self, config: Config, graph: Graph | None = None) -> None:
        super().__init__()
        # Without units of its own, the model standardizes here.
        inside = config.data.standardized and not config.has_units
        self.standardization = Standardization(config.data_dim) if inside else None
        self.graph = None if graph is None else GraphNetwork(graph)
        table = config.table
        self.features = None if table is None else TableFeatures(TableLayout(table))
        if isinstance(config.encoder, OnnxGraph):
            return
        shape = config.data_shape if table is None else (table.n_features,)
        self.torso, width = _encoder_torso(config.encoder, shape)
        self.mu = Linear(width, config.latent_dim)
        self.log_var = Linear(width, config.latent_dim)

    def forward(self, x: Tensor) -> DiagonalGaussian:
        """Encode x in the model's units, (..., D)."""
        return DiagonalGaussian(*over_rows(self.layers, self.standardized(x)))

    def standardized(self, x: Tensor) -> Tensor:
        """Return what the layers get for x."""
        if self.features is not None:
            features: Tensor = self.features(x)
            return features
        if self.standardization is None:
            return x
        return (x - self.standardization.shift) / self.standardization.scale

    def layers(self, x: Tensor) -> Heads:
        """Return mu and log_var for rows of standardized data, (N, D)."""
        if self.graph is not None:
            heads: Heads = self.graph(x)
            return heads
        h = self.torso(x)
        return self.mu(h), self.log_var(h)


@final
class Decoder(nn.Module):
    """
    Map z to p(x|z), a likelihood (AEVB App. C); its parameters are theta.

    A Bernoulli decoder has one head, the logits eta, and that of a table has the
    parameters of all columns, besides their marginals; one more, for missing cells, is
    no part of p(x|z). A Gaussian decoder has two, mu and log sigma^2, with sigma^2 =
    sigma_floor^2 + exp(head), so that its density is bounded. A network that was
    trained elsewhere is a graph with the same heads.
    """

    graph: GraphNetwork | None

    def __init__(self, config: Config, graph: Graph | None = None) -> None:
        super().__init__()
        self.kind, sigma_floor = config.likelihood.kind, config.likelihood.sigma_floor
        self.graph = None if graph is None else GraphNetwork(graph)
        table = config.table
        self.marginals = None if table is None else Marginals(table)
        if not isinstance(config.decoder, OnnxGraph):
            shape = config.data_shape if table is None else (table.n_parameters,)
            self.torso, make_head = _decoder_torso(
                config.decoder, shape, config.latent_dim
            )
            if sigma_floor is None:
                self.eta = make_head()
            else:
                self.mu, self.log_var = make_head(), make_head()
        self.missing = _missing_cells(config)
        if sigma_floor is not None:
            self.log_var_floor = 2 * math.log(sigma_floor)

    def forward(self, z: Tensor) -> Likelihood:
        """Decode z, (..., J)."""
        return self.likelihood(*over_rows(self.layers, z))

    def layers(self, z: Tensor) -> Heads:
        """Return the heads for rows, (N, J): eta, or mu and log_var without a floor."""
        if self.graph is not None:
            heads: Heads = self.graph(z)
            return heads
        h = self.torso(z)
        if self.kind == "gaussian":
            return self.mu(h), self.log_var(h)
        if self.missing is not None:
            return self.eta(h), self.missing.head(h)
        return (self.eta(h),)

    def likelihood(self, *heads: Tensor) -> Likelihood:
        """Return p(x|z) in the model's units from the output of `layers`."""
        if self.marginals is not None:
            missing = self.missing and self.missing.of(heads[1])
            return Table(heads[0], self.marginals, missing)
        if self.kind == "bernoulli":
            return Bernoulli(*heads)
        if self.kind == "continuous_bernoulli":
            return ContinuousBernoulli(*heads)
        mu, log_var = heads
        # log(sigma_floor^2 + exp(log_var)), without adding and subtracting the floor,
        # which would round log_var to the precision of the floor.
        floor = log_var.new_full((), self.log_var_floor)
        log_var = torch.logaddexp(log_var, floor)
        return Gaussian(mu=mu, log_var=log_var)


def over_rows(layers: Callable[[Tensor], Heads], x: Tensor) -> Heads:
    """Apply a function of rows, (N, D), to x of any leading dimensions, (..., D)."""
    if x.dim() == 2:
        return layers(x)
    heads = layers(x.reshape(-1, x.shape[-1]))
    return tuple(head.reshape(*x.shape[:-1], -1) for head in heads)


def initialize(module: nn.Module, *, generator: torch.Generator) -> None:
    """
    Initialize every weight as in Glorot & Bengio (2010), uniform, with zero biases.

    Weights are drawn in the order of `named_parameters`, so a seed gives the same
    weights on every machine. A standardization becomes the identity.
    """
    for part in module.modules():
        if isinstance(part, Standardization | MissingCells):
            part.reset()
    for name, parameter in module.named_parameters():
        if name.endswith(".bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.xavier_uniform_(parameter, generator=generator)


def _encoder_torso(
    network: Mlp | Conv, data_shape: tuple[int, ...]
) -> tuple[nn.Sequential, int]:
    """Return the hidden layers and the width of their output."""
    activation = _ACTIVATIONS[network.activation]
    if isinstance(network, Mlp):
        widths = (torch.Size(data_shape).numel(), *network.hidden)
        return _dense(widths, activation), widths[-1]
    height, width = conv_grid(data_shape, len(network.channels))
    layers: list[nn.Module] = [ToChannels(data_shape[0], data_shape[1])]
    for before, after in pairwise((_n_colors(data_shape), *network.channels)):
        layers += [Conv2d(before, after, _KERNEL, _STRIDE, _PADDING), activation()]
    layers += [
        FromChannels(),
        Linear(network.channels[-1] * height * width, network.hidden),
        activation(),
    ]
    return nn.Sequential(*layers), network.hidden


def _decoder_torso(
    network: Mlp | Conv, data_shape: tuple[int, ...], latent_dim: int
) -> tuple[nn.Sequential, Callable[[], nn.Module]]:
    """Return the hidden layers and a function that makes an output layer."""
    activation = _ACTIVATIONS[network.activation]
    if isinstance(network, Mlp):
        widths = (latent_dim, *network.hidden)
        data_dim = torch.Size(data_shape).numel()
        return _dense(widths, activation), lambda: Linear(widths[-1], data_dim)
    depth = len(network.channels)
    height, width = conv_grid(data_shape, depth)
    n_features = network.channels[-1] * height * width
    layers: list[nn.Module] = [
        *_dense((latent_dim, network.hidden, n_features), activation),
        ToChannels(height, width),
    ]
    for i in range(depth - 1, 0, -1):
        before, after = network.channels[i], network.channels[i - 1]
        layers += [_doubling(before, after, data_shape, i), activation()]
    return nn.Sequential(*layers), lambda: nn.Sequential(
        _doubling(network.channels[0], _n_colors(data_shape), data_shape, 0),
        FromChannels(),
    )


def _missing_cells(config: Config) -> MissingCells | None:
    """Return the head for missing cells, if the configuration has any."""
    if config.table is None or not config.missing:
        return None
    assert isinstance(config.decoder, Mlp)  # noqa: S101  as `Config` checks
    width = (config.latent_dim, *config.decoder.hidden)[-1]
    return MissingCells(config.table, config.missing, width)


def _dense(widths: tuple[int, ...], activation: type[nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [Linear(before, after), activation()]
    return nn.Sequential(*layers)


def _doubling(
    before: int, after: int, data_shape: tuple[int, ...], n_halvings: int
) -> ConvTranspose2d:
    """Return a layer that doubles an image to its exact size after `n_halvings`."""
    height, width = conv_grid(data_shape, n_halvings)
    return ConvTranspose2d(
        before,
        after,
        _KERNEL,
        _STRIDE,
        _PADDING,
        output_padding=(height % 2, width % 2),
    )


def _n_colors(data_shape: tuple[int, ...]) -> int:
    return data_shape[2] if len(data_shape) == 3 else 1
