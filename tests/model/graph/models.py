"""ONNX models for tests, made with the helper functions of the onnx package."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Arrays = Mapping[str, NDArray[Any]]


def model(
    nodes: Sequence[NodeProto],
    *,
    inputs: Mapping[str, Sequence[int | str | None]],
    outputs: Sequence[str],
    constants: Arrays | None = None,
    opset: int = 20,
) -> ModelProto:
    """Return a model; every output is float32."""
    graph = helper.make_graph(
        nodes,
        "test",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in inputs.items()
        ],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
        [
            numpy_helper.from_array(np.asarray(v), k)
            for k, v in (constants or {}).items()
        ],
    )
    opsets = [helper.make_opsetid("", opset)]
    built: ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return built


def one_node(
    op: str,
    x: NDArray[np.float32],
    *constants: NDArray[Any] | None,
    n_outputs: int = 1,
    opset: int = 20,
    **attributes: Any,
) -> ModelProto:
    """Return a model of one node whose first input is the model's."""
    names = ["x", *("" if c is None else f"c{i}" for i, c in enumerate(constants))]
    outputs = [f"y{i}" for i in range(n_outputs)]
    return model(
        [helper.make_node(op, names, outputs, name="it", **attributes)],
        inputs={"x": ["N", *x.shape[1:]]},
        outputs=outputs,
        constants={f"c{i}": c for i, c in enumerate(constants) if c is not None},
        opset=opset,
    )


def random(seed: int, *shape: int) -> NDArray[np.float32]:
    """Return standard normal values."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
