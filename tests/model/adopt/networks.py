"""Networks as other frameworks export them, built with the onnx package's helpers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from model.engine.runtime import InferenceSession
from tests.model.graph.models import Arrays, model, random

D, H, J = 16, 9, 2


def node(op: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> NodeProto:
    """Return a node."""
    return helper.make_node(op, inputs, outputs, **attributes)


def weights(*shape: int, seed: int) -> NDArray[np.float32]:
    """Return weights of a size at which activations keep theirs."""
    return random(seed, *shape) / np.float32(np.sqrt(shape[-1]))


ENCODER_WEIGHTS: Arrays = {
    "fc1.weight": weights(H, D, seed=1),
    "fc1.bias": weights(H, seed=2),
    "fc21.weight": weights(J, H, seed=3),
    "fc21.bias": weights(J, seed=4),
    "fc22.weight": weights(J, H, seed=5),
    "fc22.bias": weights(J, seed=6),
}
DECODER_WEIGHTS: Arrays = {
    "fc3.weight": weights(H, J, seed=7),
    "fc3.bias": weights(H, seed=8),
    "fc4.weight": weights(D, H, seed=9),
    "fc4.bias": weights(D, seed=10),
}
HIDDEN = [
    node("Reshape", ["x", "flat"], "rows"),
    node("Gemm", ["rows", "fc1.weight", "fc1.bias"], "h0", transB=1),
    node("Relu", ["h0"], "h"),
    node("Gemm", ["h", "fc21.weight", "fc21.bias"], "mu", transB=1),
    node("Gemm", ["h", "fc22.weight", "fc22.bias"], "log_var", transB=1),
]
DRAW = [
    node("RandomNormalLike", ["mu"], "eps"),
    node("Mul", ["log_var", "half"], "log_sigma"),
    node("Exp", ["log_sigma"], "std"),
    node("Mul", ["eps", "std"], "noise"),
    node("Add", ["mu", "noise"], "z"),
]
CONSTANTS = {"flat": np.array([-1, D]), "half": np.array(0.5, np.float32)}


def encoder(
    *extra: NodeProto,
    outputs: Sequence[str] = ("mu", "log_var"),
    constants: Arrays | None = None,
    rows: Sequence[int | str | None] = ("N", D),
) -> ModelProto:
    """Return the encoder of the well-known example, perhaps with nodes behind it."""
    return model(
        [*HIDDEN, *extra],
        inputs={"x": rows},
        outputs=outputs,
        constants={**ENCODER_WEIGHTS, **CONSTANTS, **(constants or {})},
    )


def decoder(
    *extra: NodeProto,
    outputs: Sequence[str] = ("reconstruction",),
    constants: Arrays | None = None,
) -> ModelProto:
    """Return its decoder; "reconstruction" is the sigmoid of "logits"."""
    nodes = [
        node("Gemm", ["z", "fc3.weight", "fc3.bias"], "h0", transB=1),
        node("Relu", ["h0"], "h"),
        node("Gemm", ["h", "fc4.weight", "fc4.bias"], "logits", transB=1),
        node("Sigmoid", ["logits"], "reconstruction"),
    ]
    return model(
        [*nodes, *extra],
        inputs={"z": ["N", J]},
        outputs=outputs,
        constants={**DECODER_WEIGHTS, **CONSTANTS, **(constants or {})},
    )


COLOR = (4, 6, 3)  # height, width, channels


def conv_encoder(*, training: bool = False) -> ModelProto:
    """
    Return convolutions with batch normalization for images with channels first.

    Args:
        training: Whether statistics are those of the batch, computed by plain nodes.
    """
    normalized = [
        node(
            "BatchNormalization",
            ["c", "scale", "shift", "mean", "var"],
            "n",
            name="/bn",
        )
    ]
    if training:
        normalized = [
            node("ReduceMean", ["c", "batch"], "m", name="/bn/mean"),
            node("Sub", ["c", "m"], "n", name="/bn/sub"),
        ]
    nodes = [
        node("Conv", ["x", "k", "kb"], "c", strides=[2, 2], pads=[1, 1, 1, 1]),
        *normalized,
        node("Relu", ["n"], "r"),
        node("Flatten", ["r"], "f", axis=1),
        node("Gemm", ["f", "a", "b"], "z_mean", transB=1),
        node("Gemm", ["f", "u", "v"], "z_log_var", transB=1),
    ]
    height, width, channels = COLOR
    return model(
        nodes,
        inputs={"x": ["N", channels, height, width]},
        outputs=["z_mean", "z_log_var"],
        constants={
            "k": weights(5, 3, 3, 3, seed=1),
            "kb": weights(5, seed=2),
            "scale": np.abs(weights(5, seed=3)) + 1,
            "shift": weights(5, seed=4),
            "mean": weights(5, seed=5),
            "var": np.abs(weights(5, seed=6)) + 1,
            "batch": np.array([0, 2, 3]),
            "a": weights(J, 30, seed=7),
            "b": weights(J, seed=8),
            "u": weights(J, 30, seed=9),
            "v": weights(J, seed=10),
        },
    )


def conv_decoder(*last: NodeProto, output: str = "logits") -> ModelProto:
    """Return transposed convolutions to images with channels first."""
    nodes = [
        node("Gemm", ["z", "a", "b"], "h", transB=1),
        node("Reshape", ["h", "shape"], "s"),
        node(
            "ConvTranspose",
            ["s", "k", "kb"],
            "logits",
            strides=[2, 2],
            pads=[1, 1, 1, 1],
            output_padding=[1, 1],
        ),
    ]
    return model(
        [*nodes, *last],
        inputs={"z": ["N", J]},
        outputs=[output],
        constants={
            "a": weights(30, J, seed=11),
            "b": weights(30, seed=12),
            "shape": np.array([-1, 5, 2, 3]),
            "k": weights(5, 3, 3, 3, seed=13),
            "kb": weights(3, seed=14),
        },
    )


def write(folder: Path, **models: ModelProto) -> dict[str, Path]:
    """Write models as NAME.onnx and return their paths."""
    paths = {name: folder / f"{name}.onnx" for name in models}
    for name, proto in models.items():
        paths[name].write_bytes(proto.SerializeToString())
    return paths


def run(proto: ModelProto, rows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return what ONNX Runtime computes of the exported network itself."""
    session = InferenceSession(proto.SerializeToString())
    (info,) = session.get_inputs()
    found: list[NDArray[np.float32]] = session.run(None, {info.name: rows})
    return found


def binary(n: int, width: int = D, seed: int = 0) -> NDArray[np.float32]:
    """Return rows of zeros and ones."""
    return (np.random.default_rng(seed).random((n, width)) < 0.4).astype(np.float32)
