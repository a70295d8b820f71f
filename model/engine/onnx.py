"""
The encoder and decoder in ONNX Runtime, which replaces torch on a CPU.

Torch's dispatch costs more than the arithmetic of a single row, and its matrix products
are slower for few rows (`benchmarks/RESULTS.md`). The graph is built in memory from the
checkpoint's weights. It contains only the layers; distributions are computed by the
same code in `model` as with torch.
"""

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from model.distributions import DiagonalGaussian, Likelihood
from model.engine.arrays import Array
from model.engine.runtime import InferenceSession, SessionOptions
from model.graph import GraphNetwork, to_onnx
from model.networks import FromChannels, Heads, Standardization, ToChannels, over_rows
from model.tables.features import TableFeatures
from model.tables.schema import PLANES
from model.vae import VAE

_OPSET = helper.make_opsetid("", 17)
_IR_VERSION = 8

_Convolution = nn.Conv2d | nn.ConvTranspose2d


_Layers = Callable[[Array], Sequence[Array]]


@final
class OnnxVAE:
    """
    `encode` and `decode` of a VAE; ONNX Runtime computes the layers.

    Attributes:
        encode_rows: Returns mu and log_var of q(z|x) for x, (N, D).
        decode_rows: Returns the heads of the decoder for z, (N, J).
    """

    def __init__(self, vae: VAE, *, n_threads: int) -> None:
        self.encode_rows: _Layers = _compile(encoder_model(vae), n_threads)
        self.decode_rows: _Layers = _compile(decoder_model(vae), n_threads)
        self._likelihood = vae.decoder.likelihood

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """Return q(z|x) for x, (..., D)."""
        return DiagonalGaussian(*over_rows(_of_tensors(self.encode_rows), x))

    def decode(self, z: Tensor) -> Likelihood:
        """Return p(x|z) for z, (..., J)."""
        return self._likelihood(*over_rows(_of_tensors(self.decode_rows), z))


def _of_tensors(layers: _Layers) -> Callable[[Tensor], Heads]:
    return lambda rows: tuple(map(torch.from_numpy, layers(rows.numpy())))


def encoder_model(vae: VAE) -> ModelProto:
    """Return the encoder's layers as an ONNX model."""
    encoder = vae.encoder
    if encoder.graph is not None:
        return _graph_model(encoder.graph)
    torso = encoder.torso
    for first in (encoder.standardization, encoder.features):
        if first is not None:
            torso = nn.Sequential(first, *torso)
    return GraphBuilder(vae.config.x_width).add(torso, [encoder.mu, encoder.log_var])


def decoder_model(vae: VAE) -> ModelProto:
    """Return the decoder's layers as an ONNX model."""
    decoder = vae.decoder
    if decoder.graph is not None:
        return _graph_model(decoder.graph)
    gaussian = decoder.kind == "gaussian"
    heads = [decoder.mu, decoder.log_var] if gaussian else [decoder.eta]
    if decoder.missing is not None:
        heads.append(decoder.missing.head)
    return GraphBuilder(vae.config.latent_dim).add(decoder.torso, heads)


def _graph_model(network: GraphNetwork) -> ModelProto:
    weights = {name: w.detach().numpy() for name, w in network.state_dict().items()}
    return to_onnx(network.graph, weights)


def _compile(model: ModelProto, n_threads: int) -> _Layers:
    """Compile a model into a function of rows that ONNX Runtime computes."""
    options = SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    # Threads that spin between requests would keep a core busy in an idle service.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = InferenceSession(model.SerializeToString(), options)
    (rows,) = (info.name for info in session.get_inputs())
    heads = [info.name for info in session.get_outputs()]  # else asked at every run
    return lambda x: session.run(heads, {rows: x})


@final
class GraphBuilder:
    """Builds an ONNX graph: a sequence of layers, then several heads."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._nodes: list[NodeProto] = []
        self._weights: list[TensorProto] = []

    def add(self, torso: nn.Sequential, heads: list[nn.Module]) -> ModelProto:
        """Return the ONNX model of these layers."""
        h = self._layer(torso, "rows")
        names = [self._layer(head, h) for head in heads]
        graph = helper.make_graph(
            self._nodes,
            "layers",
            [
                helper.make_tensor_value_info(
                    "rows", TensorProto.FLOAT, ["N", self._width]
                )
            ],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names],
            self._weights,
        )
        return helper.make_model(graph, opset_imports=[_OPSET], ir_version=_IR_VERSION)

    def _layer(self, layer: nn.Module, x: str) -> str:
        """Add a layer with the input `x`; return the name of its output."""
        match layer:
            case nn.Sequential():
                for part in layer:
                    x = self._layer(part, x)
                return x
            case Standardization() | TableFeatures():
                return self._inputs(layer, x)
            case nn.Linear():
                return self._node("Gemm", x, *self._parameters(layer), transB=1)
            case nn.Conv2d():
                return self._convolution("Conv", layer, x)
            case nn.ConvTranspose2d():
                return self._convolution(
                    "ConvTranspose",
                    layer,
                    x,
                    output_padding=list(layer.output_padding),
                )
            case nn.Tanh() | nn.ReLU():
                return self._node({nn.Tanh: "Tanh", nn.ReLU: "Relu"}[type(layer)], x)
            case nn.SiLU():
                return self._node("Mul", x, self._node("Sigmoid", x))
            case ToChannels() | FromChannels():
                return self._channels(layer, x)
        raise TypeError(f"no ONNX graph for a layer of type {type(layer).__name__}")

    def _inputs(self, layer: Standardization | TableFeatures, x: str) -> str:
        """Add the first layer of an encoder."""
        if isinstance(layer, Standardization):
            shift = self._constant(layer.shift.numpy())
            scale = self._constant(layer.scale.numpy())
            return self._node("Div", self._node("Sub", x, shift), scale)
        layout = layer.layout
        n_columns = len(layout.schema.columns)
        column, level = layout.feature_column, layout.feature_level
        known_at = (PLANES - 1) * n_columns
        every = self._constant(known_at + np.arange(n_columns))
        known = self._node("Gather", x, every, axis=1)
        value = self._node("Gather", x, self._constant(column), axis=1)
        of_value = self._node("Gather", x, self._constant(known_at + column), axis=1)
        is_level = self._node("Equal", value, self._constant(level))
        indicator = self._node("Cast", is_level, to=TensorProto.FLOAT)
        shown = self._node("Where", self._constant(level < 0), value, indicator)
        return self._node("Concat", self._node("Mul", shown, of_value), known, axis=1)

    def _channels(self, layer: ToChannels | FromChannels, x: str) -> str:
        if isinstance(layer, FromChannels):
            last = self._node("Transpose", x, perm=[0, 2, 3, 1])
            return self._node("Flatten", last, axis=1)
        shape = self._constant(np.array([0, layer.height, layer.width, -1]))
        last = self._node("Reshape", x, shape)
        return self._node("Transpose", last, perm=[0, 3, 1, 2])

    def _convolution(
        self, op: str, layer: _Convolution, x: str, **attributes: Any
    ) -> str:
        vertical, horizontal = (int(n) for n in layer.padding)
        return self._node(
            op,
            x,
            *self._parameters(layer),
            strides=list(layer.stride),
            pads=[vertical, horizontal, vertical, horizontal],
            **attributes,
        )

    def _parameters(self, layer: nn.Linear | _Convolution) -> tuple[str, ...]:
        return tuple(
            self._constant(parameter.detach().numpy())
            for parameter in layer.parameters()  # weight, bias
        )

    def _constant(self, values: np.ndarray) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(values, name))
        return name

    def _node(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name
