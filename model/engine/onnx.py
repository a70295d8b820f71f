"""
The encoder and decoder in ONNX Runtime, which replaces torch on a CPU.

Torch's dispatch costs more than the arithmetic of a single row, and its matrix products
are slower for few rows (`benchmarks/RESULTS.md`). The graph is built in memory from the
checkpoint's weights. It contains only the layers; distributions and units are computed
by the same code in `model` as with torch.
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
from model.networks import FromChannels, Heads, Standardization, ToChannels, over_rows
from model.vae import VAE

_OPSET = helper.make_opsetid("", 17)
_IR_VERSION = 8

_Convolution = nn.Conv2d | nn.ConvTranspose2d


@final
class OnnxVAE:
    """`encode` and `decode` of a VAE; ONNX Runtime computes the layers."""

    def __init__(self, vae: VAE, *, n_threads: int) -> None:
        encoder, decoder = vae.encoder, vae.decoder
        torso = encoder.torso
        if encoder.standardization is not None:
            torso = nn.Sequential(encoder.standardization, *torso)
        self._encoder = _compiled(
            torso, [encoder.mu, encoder.log_var], vae.config.data_dim, n_threads
        )
        heads = (
            [decoder.mu, decoder.log_var]
            if decoder.kind == "gaussian"
            else [decoder.eta]
        )
        self._decoder = _compiled(
            decoder.torso, heads, vae.config.latent_dim, n_threads
        )
        self._likelihood = decoder.likelihood

    def encode_rows(self, x: Array) -> Sequence[Array]:
        """Return mu and log_var of q(z|x) for x, (N, D)."""
        return self._encoder(x)

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """Return q(z|x) for x, (..., D)."""
        return DiagonalGaussian(*over_rows(_of_tensors(self._encoder), x))

    def decode(self, z: Tensor) -> Likelihood:
        """Return p(x|z) for z, (..., J)."""
        return self._likelihood(*over_rows(_of_tensors(self._decoder), z))


_Layers = Callable[[Array], Sequence[Array]]


def _of_tensors(layers: _Layers) -> Callable[[Tensor], Heads]:
    return lambda rows: tuple(map(torch.from_numpy, layers(rows.numpy())))


def _compiled(
    torso: nn.Sequential, heads: list[nn.Module], width: int, n_threads: int
) -> _Layers:
    """Compile layers into a function of rows that ONNX Runtime computes."""
    options = SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    # Threads that spin between requests would keep a core busy in an idle service.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    graph = Graph(width).add(torso, heads)
    session = InferenceSession(graph.SerializeToString(), options)
    return lambda rows: session.run(None, {"rows": rows})


@final
class Graph:
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
            case Standardization():
                shift = self._constant(layer.shift.numpy())
                scale = self._constant(layer.scale.numpy())
                return self._node("Div", self._node("Sub", x, shift), scale)
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
