"""
The schema of a checkpoint's `config.json`, a complete description of the model.

Only fields that older files lack have a default, which has the older meaning: without
`prior`, the prior is a standard normal. `docs/checkpoint.md` describes every field.
"""

from itertools import pairwise
from math import prod
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from model.convolution_sizes import conv_grid
from model.data_config import Data
from model.prior_config import PriorConfig, StandardNormalConfig
from model.section import Section
from model.tables.missing_sets import MissingSet, check_missing
from model.tables.schema import TableSchema

FORMAT_VERSION: Final = 2
FormatVersion = Literal[1, 2]

MAX_DATA_DIM = 1 << 22
MAX_PARAMETERS = 1 << 30

Width = Annotated[int, Field(ge=1, le=65_536)]
Activation = Literal["tanh", "relu", "silu"]
ArrayLikelihood = Literal["bernoulli", "continuous_bernoulli", "gaussian"]
LikelihoodName = Literal[ArrayLikelihood, "table"]


class Mlp(Section):
    """Fully connected layers, as in AEVB App. C; without hidden layers it is linear."""

    kind: Literal["mlp"]
    hidden: Annotated[tuple[Width, ...], Field(max_length=32)]
    activation: Activation


class Conv(Section):
    """
    Strided convolutions, then one dense layer.

    Each entry of `channels` is a convolution that halves the height and width.
    """

    kind: Literal["conv"]
    channels: Annotated[tuple[Width, ...], Field(min_length=1, max_length=10)]
    hidden: Width
    activation: Activation


class OnnxGraph(Section):
    """A graph of ONNX operators in a file of the checkpoint, trained elsewhere."""

    kind: Literal["graph"]
    file: Literal["encoder.onnx", "decoder.onnx"]


Network = Annotated[Mlp | Conv | OnnxGraph, Field(discriminator="kind")]


def describe(network: Mlp | Conv | OnnxGraph) -> str:
    """Return a short description of a network's layers."""
    if isinstance(network, OnnxGraph):
        return f"ONNX graph ({network.file})"
    if isinstance(network, Conv):
        channels, width = "-".join(map(str, network.channels)), network.hidden
        return f"convolutions {channels}, dense {width} ({network.activation})"
    if not network.hidden:
        return "linear map"
    return f"MLP {'-'.join(map(str, network.hidden))} ({network.activation})"


class LikelihoodConfig(Section):
    """
    The family of p(x|z).

    Attributes:
        sigma_floor: The smallest standard deviation of a Gaussian decoder, in the
            network's units: those of standardized data if `Data.standardized`, else
            the data's own. Null for other likelihoods.
    """

    kind: LikelihoodName
    sigma_floor: Annotated[float, Field(gt=0, le=1e3)] | None

    @model_validator(mode="after")
    def _floor_belongs_to_gaussian(self) -> Self:
        if (self.kind == "gaussian") != (self.sigma_floor is not None):
            raise ValueError(
                "sigma_floor must be a number for a gaussian likelihood and null "
                f"otherwise, got {self.sigma_floor} for {self.kind}"
            )
        return self


class Config(Section):
    """
    A VAE without its weights.

    Attributes:
        data_shape: Shape of one example: (D,), (H, W) or (H, W, C).
        latent_dim: J.
        table: The columns of a table of mixed kinds; null for data of numbers alone.
        missing: The columns of the table that can be missing in draws.
    """

    format_version: FormatVersion
    data_shape: Annotated[tuple[Width, ...], Field(min_length=1, max_length=3)]
    latent_dim: Annotated[int, Field(ge=1, le=65_536)]
    likelihood: LikelihoodConfig
    encoder: Network
    decoder: Network
    data: Data
    prior: PriorConfig = StandardNormalConfig(kind="standard_normal")
    table: TableSchema | None = None
    missing: tuple[MissingSet, ...] = ()

    @property
    def data_dim(self) -> int:
        """D, the number of values in one example."""
        return prod(self.data_shape)

    @property
    def has_units(self) -> bool:
        """Whether x is standardized outside the networks: only data without a range."""
        return self.data.standardized and self.likelihood.kind == "gaussian"

    @property
    def n_components(self) -> int:
        """C, the number of Gaussian components of p(z)."""
        prior = self.prior
        return 1 if isinstance(prior, StandardNormalConfig) else prior.n_components

    @property
    def values_per_draw(self) -> int:
        """The size of the largest array per draw of z: max(D, J, C)."""
        values = self.data_dim if self.table is None else self.table.n_values
        return max(values, self.latent_dim, self.n_components)

    @property
    def x_width(self) -> int:
        """The length of a row of x in the model's units: D, but for tables."""
        return self.data_dim if self.table is None else self.table.x_width

    @property
    def n_features(self) -> int:
        """The number of inputs of the encoder's layers: D, but for tables."""
        return self.data_dim if self.table is None else self.table.n_features

    @property
    def n_parameters(self) -> int:
        """The width of a head of the decoder: D, but for tables."""
        return self.data_dim if self.table is None else self.table.n_parameters

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        names = self.data.columns
        if names is not None and self.data_shape != (len(names),):
            raise ValueError(
                f"columns has {len(names)} names, but data_shape is {self.data_shape}"
            )
        units = self.data.column_units
        if units is not None and self.data_shape != (len(units),):
            raise ValueError(
                f"column_units has {len(units)} values, but data_shape is"
                f" {self.data_shape}"
            )
        return self

    @model_validator(mode="after")
    def _table_fits(self) -> Self:
        table = self.table
        check_missing(self.missing, table)
        if (self.likelihood.kind == "table") != (table is not None):
            raise ValueError("expected a table exactly for a likelihood of kind table")
        if table is None:
            return self
        if self.data.columns != table.names:
            raise ValueError("data.columns must be the names of the table's columns")
        if (self.encoder.kind, self.decoder.kind) != ("mlp", "mlp"):
            raise ValueError("expected networks of kind mlp for a table")
        if self.data.standardized:
            raise ValueError("expected data.standardized to be false for a table")
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.data_dim > MAX_DATA_DIM:
            raise ValueError(
                f"data_shape {self.data_shape} has {self.data_dim} values, "
                f"more than {MAX_DATA_DIM}"
            )
        for name, network, n_in, n_out in (
            ("encoder", self.encoder, self.n_features, self.latent_dim),
            ("decoder", self.decoder, self.latent_dim, self.n_parameters),
        ):
            n_weights = self._max_weights(network, n_in, n_out)
            if n_weights > MAX_PARAMETERS:
                raise ValueError(
                    f"the {network.kind} {name} could have {n_weights} weights, "
                    f"more than {MAX_PARAMETERS}"
                )
        n_values = self.n_components * max(self.n_features, 2 * self.latent_dim)
        if n_values > MAX_PARAMETERS:
            raise ValueError(
                f"a prior of {self.n_components} components could have {n_values} "
                f"parameters, more than {MAX_PARAMETERS}"
            )
        return self

    @model_validator(mode="after")
    def _graphs_come_in_pairs(self) -> Self:
        files = [n.file for n in (self.encoder, self.decoder) if n.kind == "graph"]
        if files not in ([], ["encoder.onnx", "decoder.onnx"]):
            raise ValueError(
                "expected encoder and decoder to be the graphs encoder.onnx and "
                f"decoder.onnx, or neither to be a graph, got {files}"
            )
        if files and self.data.standardized:
            raise ValueError("expected data.standardized to be false for graphs")
        return self

    def _max_weights(
        self, network: Mlp | Conv | OnnxGraph, n_in: int, n_out: int
    ) -> int:
        """Return an upper bound on the number of weights: that of two output heads."""
        if isinstance(network, OnnxGraph):
            return 0  # counted when its file is read
        if isinstance(network, Mlp):
            return _n_weights((n_in, *network.hidden, 2 * n_out))
        height, width = conv_grid(self.data_shape, len(network.channels))
        n_features = network.channels[-1] * height * width
        n_colors = prod(self.data_shape[2:])
        # The heads are either convolutions with 4 x 4 kernels or dense layers.
        return 16 * _n_weights((2 * n_colors, *network.channels)) + _n_weights(
            (n_features, network.hidden, 2 * self.latent_dim)
        )


def _n_weights(widths: tuple[int, ...]) -> int:
    return sum(before * after for before, after in pairwise(widths))
