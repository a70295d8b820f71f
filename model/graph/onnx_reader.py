"""Read ONNX files into graphs; nothing beside the file is read."""

import re
from collections.abc import Iterator, Sized

import numpy as np
from google.protobuf.message import DecodeError
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    numpy_helper,
)

from model.graph.graph import (
    Array,
    Attribute,
    Graph,
    GraphError,
    GraphInput,
    Node,
    n_values,
)
from model.graph.wire import check_fields

MIN_OPSET, MAX_OPSET = 13, 23
MAX_NODES = 10_000
MAX_NAME = 1000
_DOMAINS = ("", "ai.onnx")
_MAX_RANK, _MAX_SIZE = 8, 1 << 30

_OPERATOR = re.compile(r"[A-Za-z0-9_]{1,80}", re.ASCII)

_DTYPES: dict[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.BOOL: "bool",
}
_ITEM_BYTES = {"float32": 4, "float64": 8, "int32": 4, "int64": 8, "bool": 1}


def read(content: bytes) -> Graph:
    """
    Read an ONNX model.

    Raises:
        GraphError: It is not one, or has what is not served: functions, external data,
            sparse tensors, operators of other domains or versions.
    """
    check_fields(content, ModelProto.DESCRIPTOR)
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise GraphError("not an ONNX file: it cannot be parsed") from error
    if model.functions:
        raise GraphError(
            f"expected a graph without functions, got {model.functions[0].name!r}; "
            "inline them, as onnx.inliner.inline_local_functions does"
        )
    if model.training_info:
        raise GraphError("expected a model for inference, got training information")
    return _graph(model.graph, _opset(model))


def _opset(model: ModelProto) -> int:
    versions = [o.version for o in model.opset_import if o.domain in _DOMAINS]
    if len(versions) != 1 or not MIN_OPSET <= versions[0] <= MAX_OPSET:
        raise GraphError(
            f"expected one opset of ONNX from {MIN_OPSET} to {MAX_OPSET}, "
            f"got {versions}; export with opset_version=18"
        )
    return int(versions[0])


def _graph(proto: GraphProto, opset: int) -> Graph:
    if proto.sparse_initializer:
        raise GraphError("expected dense tensors, got a sparse initializer")
    if len(proto.node) > MAX_NODES:
        raise GraphError(f"expected at most {MAX_NODES} nodes, got {len(proto.node)}")
    constants = {
        _name(tensor.name): _tensor(tensor, f"initializer {tensor.name[:80]!r}")
        for tensor in proto.initializer
    }
    if len(constants) != len(proto.initializer):
        raise GraphError("expected initializers of different names")
    inputs = tuple(_input(info) for info in proto.input if info.name not in constants)
    if not inputs:
        raise GraphError("expected an input for the rows, got none")
    nodes = []
    for node in proto.node:
        if node.op_type == "Constant" and node.domain in _DOMAINS:
            constants[_constant_name(node)] = _constant(node)
        else:
            nodes.append(_node(node))
    graph = Graph(
        opset=opset,
        inputs=inputs,
        outputs=tuple(_name(info.name) for info in proto.output),
        nodes=tuple(nodes),
        constants=constants,
    )
    _check_names(graph, n_constants=len(proto.initializer), n_nodes=len(proto.node))
    return graph


def _check_names(graph: Graph, *, n_constants: int, n_nodes: int) -> None:
    """Check that every value has one source, which comes before its use."""
    if n_constants + n_nodes != len(graph.constants) + len(graph.nodes):
        raise GraphError("expected constants of different names")
    known = {"", *graph.constants}
    for name in [info.name for info in graph.inputs]:
        _add(known, name, "an input")
    for node in graph.nodes:
        for name in node.inputs:
            if name not in known:
                raise GraphError(f"{node}: nothing before it computes {name[:80]!r}")
        for name in filter(None, node.outputs):
            _add(known, name, str(node))
    for name in graph.outputs:
        if name not in known or not name:
            raise GraphError(f"nothing computes the output {name[:80]!r}")
    if len(set(graph.outputs)) != len(graph.outputs) or not graph.outputs:
        raise GraphError("expected one output or more, of different names")


def _add(known: set[str], name: str, what: str) -> None:
    if name in known:
        raise GraphError(f"{what}: expected a new name, got {name[:80]!r} again")
    known.add(name)


def _name(name: str) -> str:
    if not 0 < len(name) <= MAX_NAME:
        raise GraphError(
            f"expected names of 1 to {MAX_NAME} characters, got {len(name)}"
        )
    return name


def _input(info: ValueInfoProto) -> GraphInput:
    kind = info.type.tensor_type
    if info.type.WhichOneof("value") != "tensor_type":
        raise GraphError(f"input {info.name[:80]!r}: expected a tensor")
    dtype = _DTYPES.get(kind.elem_type)
    if dtype is None:
        raise GraphError(f"input {info.name[:80]!r}: {_wanted_dtype(kind.elem_type)}")
    if not kind.HasField("shape"):
        return GraphInput(_name(info.name), dtype, None)
    if len(kind.shape.dim) > _MAX_RANK:
        raise GraphError(f"input {info.name[:80]!r}: expected at most {_MAX_RANK} axes")
    shape = tuple(
        int(size.dim_value) if size.HasField("dim_value") else None
        for size in kind.shape.dim
    )
    if any(size is not None and size < 0 for size in shape):
        raise GraphError(f"input {info.name[:80]!r}: a size is negative")
    return GraphInput(_name(info.name), dtype, shape)


def _wanted_dtype(kind: int) -> str:
    known = TensorProto.DataType.values()
    got = TensorProto.DataType.Name(kind) if kind in known else str(kind)
    return (
        f"expected float32, float64, int32, int64 or bool, got {got.lower()}; "
        "export the network in float32"
    )


def _tensor(tensor: TensorProto, what: str) -> Array:
    """Return the values of a tensor that holds them itself."""
    if tensor.external_data or tensor.data_location != TensorProto.DEFAULT:
        raise GraphError(
            f"{what}: expected its values in the file, got external data; "
            "save the model as one file"
        )
    dtype = _DTYPES.get(tensor.data_type)
    if dtype is None:
        raise GraphError(f"{what}: {_wanted_dtype(tensor.data_type)}")
    shape = tuple(tensor.dims)
    if len(shape) > _MAX_RANK or any(not 0 <= size <= _MAX_SIZE for size in shape):
        raise GraphError(
            f"{what}: expected at most {_MAX_RANK} sizes from 0 to {_MAX_SIZE}"
        )
    if tensor.HasField("segment"):
        raise GraphError(f"{what}: expected a whole tensor, got a segment")
    n = n_values(shape)
    held = _n_held(tensor, _ITEM_BYTES[dtype])
    if held != n:
        raise GraphError(f"{what}: expected {n} values of shape {shape}, got {held}")
    array: Array = np.array(numpy_helper.to_array(tensor).reshape(shape))
    if array.dtype.name != dtype:
        raise GraphError(f"{what}: expected {dtype}, got {array.dtype.name}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise GraphError(f"{what}: expected finite values")
    return array


def _n_held(tensor: TensorProto, n_bytes: int) -> float:
    """Return how many values a tensor holds in the field that is read."""
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data) / n_bytes
    fields: dict[int, Sized] = {
        TensorProto.FLOAT: tensor.float_data,
        TensorProto.DOUBLE: tensor.double_data,
        TensorProto.INT64: tensor.int64_data,
    }
    return len(fields.get(tensor.data_type, tensor.int32_data))


def _constant_name(node: NodeProto) -> str:
    if len(node.output) != 1 or node.input:
        raise GraphError(f"node {node.name[:80]!r} (Constant): expected one output")
    return _name(node.output[0])


def _constant(node: NodeProto) -> Array:
    what = f"node {(node.name or node.output[0])[:80]!r} (Constant)"
    if len(node.attribute) != 1:
        raise GraphError(f"{what}: expected one value")
    attribute = node.attribute[0]
    if attribute.name == "value" and attribute.type == AttributeProto.TENSOR:
        return _tensor(attribute.t, what)
    value = _attribute(attribute, what)
    if attribute.name in ("value_int", "value_ints"):
        return np.array(value, np.int64)
    if attribute.name in ("value_float", "value_floats"):
        return np.array(value, np.float32)
    raise GraphError(f"{what}: expected numbers, got {attribute.name[:80]!r}")


def _node(node: NodeProto) -> Node:
    if not _OPERATOR.fullmatch(node.op_type):
        raise GraphError(f"expected names of operators, got {node.op_type[:80]!r}")
    name = (node.name or (node.output[0] if node.output else ""))[:MAX_NAME]
    what = f"node {name[:80]!r} ({node.op_type[:80]})"
    if node.domain not in _DOMAINS:
        raise GraphError(
            f"{what}: expected an operator of ONNX, got the domain {node.domain[:80]!r}"
        )
    if not node.output or any(len(n) > MAX_NAME for n in _names(node)):
        raise GraphError(f"{what}: expected outputs, and names of {MAX_NAME} at most")
    attributes = {a.name: _attribute(a, what) for a in node.attribute}
    if len(attributes) != len(node.attribute):
        raise GraphError(f"{what}: expected attributes of different names")
    return Node(
        op=node.op_type,
        name=name,
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes=attributes,
    )


def _names(node: NodeProto) -> Iterator[str]:
    yield from node.input
    yield from node.output


def _attribute(attribute: AttributeProto, what: str) -> Attribute:
    kinds = {
        AttributeProto.GRAPH: "control flow (a graph inside a node)",
        AttributeProto.GRAPHS: "control flow (graphs inside a node)",
        AttributeProto.SPARSE_TENSOR: "a sparse tensor",
        AttributeProto.SPARSE_TENSORS: "sparse tensors",
    }
    if attribute.type in kinds:
        raise GraphError(f"{what}: {kinds[attribute.type]} is not served")
    if attribute.ref_attr_name:
        raise GraphError(f"{what}: expected values, got a reference to a function")
    if attribute.type == AttributeProto.TENSOR:
        return _tensor(attribute.t, what)
    return _plain(attribute, what)


def _plain(attribute: AttributeProto, what: str) -> Attribute:
    if attribute.type == AttributeProto.INT:
        return int(attribute.i)
    if attribute.type == AttributeProto.FLOAT:
        return float(attribute.f)
    if attribute.type == AttributeProto.STRING:
        return attribute.s[:80].decode("ascii", "replace")
    if attribute.type == AttributeProto.INTS:
        return tuple(int(i) for i in attribute.ints)
    if attribute.type == AttributeProto.FLOATS:
        return tuple(float(f) for f in attribute.floats)
    raise GraphError(f"{what}: attribute {attribute.name[:80]!r} is not served")
