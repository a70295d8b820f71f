"""Write graphs as ONNX models, with nothing in them but what was read and checked."""

from collections.abc import Mapping

import numpy as np
from onnx import (
    AttributeProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from model.graph.graph import Array, Attribute, Graph, GraphInput, Node

_IR_VERSION = 8
_TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}


def to_onnx(graph: Graph, weights: Mapping[str, Array] | None = None) -> ModelProto:
    """
    Return the ONNX model of a graph.

    Args:
        weights: Values of the inputs that are weights; without them, these stay inputs.
    """
    given = weights or {}
    inputs = [info for info in graph.inputs if info.name not in given]
    tensors = {**graph.constants, **given}
    proto = helper.make_graph(
        [_node(node) for node in graph.nodes],
        "layers",
        [_info(info) for info in inputs],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in graph.outputs
        ],
        [
            numpy_helper.from_array(np.ascontiguousarray(values), name)
            if values.ndim
            else numpy_helper.from_array(values, name)
            for name, values in tensors.items()
        ],
    )
    opset = helper.make_opsetid("", graph.opset)
    version = max(_IR_VERSION, helper.find_min_ir_version_for([opset]))
    return helper.make_model(proto, opset_imports=[opset], ir_version=version)


def _info(info: GraphInput) -> ValueInfoProto:
    shape = info.shape and [
        f"n{i}" if size is None else size for i, size in enumerate(info.shape)
    ]
    return helper.make_tensor_value_info(info.name, _TYPES[info.dtype], shape)


def _node(node: Node) -> NodeProto:
    proto = NodeProto(
        op_type=node.op, name=node.name, input=node.inputs, output=node.outputs
    )
    for name, value in node.attributes.items():
        proto.attribute.append(_attribute(name, value))
    return proto


def _attribute(name: str, value: Attribute) -> AttributeProto:
    if isinstance(value, np.ndarray):
        return helper.make_attribute(name, numpy_helper.from_array(value))
    if value == ():
        return helper.make_attribute(name, [], attr_type=AttributeProto.INTS)
    return helper.make_attribute(name, value)
