import builtins
import io
import resource
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import (
    ModelProto,
    NodeProto,
    TensorProto,
    external_data_helper,
    helper,
    numpy_helper,
)

from model.graph import Graph, GraphError, GraphNetwork, read, read_stored, separate
from model.graph.limits import output_shapes
from model.graph.onnx_writer import to_onnx
from model.graph.wire import MAX_FIELDS
from tests.model.graph.models import model, one_node, random

X = random(0, 3, 4)


def mlp() -> ModelProto:
    """Return a small encoder: four values to mu and log_var of two dimensions."""
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1, name="/fc1/Gemm"),
        helper.make_node("Relu", ["h"], ["r"], name="/relu"),
        helper.make_node("Gemm", ["r", "v"], ["mu"]),
        helper.make_node("Gemm", ["r", "u"], ["log_var"]),
    ]
    return model(
        nodes,
        inputs={"x": ["N", 4]},
        outputs=["mu", "log_var"],
        constants={
            "w": random(1, 5, 4),
            "b": random(2, 5),
            "v": random(3, 5, 2),
            "u": random(4, 5, 2),
        },
    )


def changed(change: Callable[[ModelProto], object]) -> bytes:
    """Return the file of the small encoder after a change."""
    proto = mlp()
    change(proto)
    content: bytes = proto.SerializeToString()
    return content


def external(proto: ModelProto) -> None:
    """Move the values of a tensor to a file outside of the directory."""
    tensor = proto.graph.initializer[0]
    external_data_helper.set_external_data(tensor, location="../../etc/passwd")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL


def external_without_flag(proto: ModelProto) -> None:
    """Name a file, and say that the values are here."""
    entry = proto.graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def sparse(proto: ModelProto) -> None:
    """Add a sparse tensor whose values are in a file."""
    tensor = proto.graph.sparse_initializer.add()
    tensor.values.name = "s"
    tensor.values.data_type = TensorProto.FLOAT
    entry = tensor.values.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def branch(proto: ModelProto) -> None:
    """Add an If whose branches compute the output."""
    then = helper.make_graph(
        [helper.make_node("Identity", ["mu"], ["t"])],
        "then",
        [],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, None)],
    )
    proto.graph.node.append(
        helper.make_node(
            "If", ["c"], ["y"], name="/if", then_branch=then, else_branch=then
        )
    )


def add(node: NodeProto, output: str = "y") -> Callable[[ModelProto], object]:
    """Return a change that adds a node and makes it an output."""

    def change(proto: ModelProto) -> None:
        proto.graph.node.append(node)
        info = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        proto.graph.output.append(info)

    return change


def functions(proto: ModelProto) -> None:
    """Add a function of the model's own."""
    proto.functions.append(
        helper.make_function(
            "mine",
            "Twice",
            ["a"],
            ["b"],
            [helper.make_node("Add", ["a", "a"], ["b"])],
            [helper.make_opsetid("", 20)],
        )
    )


def half(proto: ModelProto) -> None:
    """Store a tensor in float16."""
    values = numpy_helper.to_array(proto.graph.initializer[0]).astype(np.float16)
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "w"))


def short(proto: ModelProto) -> None:
    """Say that a tensor has more values than there are bytes."""
    proto.graph.initializer[0].dims[0] = 1 << 29


def unnumbered(proto: ModelProto) -> None:
    """Store a weight that is not a number."""
    values = np.full((5, 4), np.nan, np.float32)
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "w"))


REFUSED: list[tuple[str, Callable[[ModelProto], object], str]] = [
    ("external data", external, "external data"),
    ("external data, unflagged", external_without_flag, "external data"),
    ("sparse external data", sparse, "sparse"),
    ("a branch", branch, r"'/if' \(If\): control flow"),
    ("functions", functions, "functions"),
    ("half precision", half, "export the network in float32"),
    ("too few bytes", short, "values of shape"),
    ("not finite", unnumbered, "finite values"),
    (
        "another domain",
        add(helper.make_node("Gelu", ["mu"], ["y"], domain="com.microsoft")),
        "domain 'com.microsoft'",
    ),
    (
        "old opset",
        lambda p: p.opset_import[0].CopyFrom(helper.make_opsetid("", 9)),
        "opset",
    ),
    ("training", lambda p: p.training_info.add(), "training information"),
    (
        "a cycle",
        lambda p: p.graph.node[0].input.__setitem__(0, "r"),
        "nothing before it computes 'r'",
    ),
    (
        "two sources",
        lambda p: p.graph.node[1].output.__setitem__(0, "h"),
        "expected a new name",
    ),
    ("no outputs", lambda p: p.graph.ClearField("output"), "one output"),
    ("no inputs", lambda p: p.graph.ClearField("input"), "an input"),
]


@pytest.mark.parametrize(
    ("change", "why"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_is_no_plain_graph_is_refused(
    change: Callable[[ModelProto], object], why: str
) -> None:
    """In one line that names what is wrong."""
    with pytest.raises(GraphError, match=why) as caught:
        read(changed(change))

    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


NODES = [
    (helper.make_node("RandomNormalLike", ["mu"], ["y"]), "it is random"),
    (helper.make_node("Multinomial", ["mu"], ["y"]), "it is random"),
    (helper.make_node("Bernoulli", ["mu"], ["y"]), "it is random"),
    (
        helper.make_node("Det", ["mu"], ["y"], name="/det"),
        r"'/det' \(Det\): the operator",
    ),
    (helper.make_node("StringConcat", ["mu", "mu"], ["y"]), "the operator"),
    (helper.make_node("Loop", ["mu"], ["y"]), "control flow"),
    (helper.make_node("Relu", ["mu"], ["y"], consumed_inputs=[1]), "attribute"),
    (helper.make_node("Relu", ["mu", "mu"], ["y"]), "1 to 1 inputs"),
    (helper.make_node("Add", ["mu", ""], ["y"]), "2 inputs"),
    (helper.make_node("Reshape", ["mu", "mu"], ["y"]), "depends on the rows"),
    (
        helper.make_node(
            "BatchNormalization", ["mu"] * 5, ["y"], training_mode=1, name="/bn"
        ),
        r"'/bn' \(BatchNormalization\): it is in training mode",
    ),
]


@pytest.mark.parametrize(("node", "why"), NODES, ids=[n.op_type for n, _ in NODES])
def test_a_node_that_is_not_served_is_named(node: NodeProto, why: str) -> None:
    """Where an output needs it; the message has node and operator."""
    graph = read(changed(add(node)))

    with pytest.raises(GraphError, match=why):
        output_shapes(graph, (2, 4), 2)


def test_what_no_output_needs_is_dropped() -> None:
    """A draw of z beside mu and log_var goes, with its random nodes."""
    nodes = [
        helper.make_node("RandomNormalLike", ["mu"], ["eps"]),
        helper.make_node("Mul", ["eps", "log_var"], ["s"]),
        helper.make_node("Add", ["mu", "s"], ["z"]),
    ]
    proto = mlp()
    proto.graph.node.extend(nodes)

    graph = read(proto.SerializeToString()).ending_in(("mu", "log_var"))

    assert [node.op for node in graph.nodes] == ["Gemm", "Relu", "Gemm", "Gemm"]


def test_weights_are_taken_out_and_put_back() -> None:
    """Names stay readable; the model with weights is the model that was read."""
    graph, weights = separate(read(changed(lambda _: None)))

    assert list(weights) == ["w0_w", "w1_b", "w2_v", "w3_u"]
    assert read(to_onnx(graph, weights).SerializeToString()).constants.keys() == set(
        weights
    )


def ints(*values: int) -> np.ndarray:
    """Return a tensor of integers."""
    return np.array(values, np.int64)


HUGE = 1 << 40
BOMBS: dict[str, Callable[[], ModelProto]] = {
    "Expand": lambda: one_node("Expand", X, ints(1 << 28, 1, 1)),
    "Tile": lambda: one_node("Tile", X, ints(1, HUGE)),
    "Pad": lambda: one_node("Pad", X, ints(0, HUGE, 0, HUGE)),
    "Pad of 2^62": lambda: one_node("Pad", X, ints(0, 1 << 62, 0, 1 << 62)),
    "Resize": lambda: one_node(
        "Resize", random(0, 3, 1, 4, 4), None, None, ints(3, 1, 60_000, 60_000)
    ),
    "Resize by scale": lambda: one_node(
        "Resize", random(0, 3, 1, 4, 4), None, np.array([1, 1, 1e30, 1e30], np.float32)
    ),
    "MatMul": lambda: one_node(
        "MatMul", random(0, 3, 16, 1), np.zeros((1, 600_000), np.float32)
    ),
    "Gemm": lambda: one_node(
        "Gemm", random(0, 3, 1), np.zeros((1, 8_400_000), np.float32)
    ),
    "ConvTranspose": lambda: one_node(
        "ConvTranspose",
        random(0, 3, 1, 4, 4),
        random(0, 1, 1, 2, 2),
        strides=[60_000, 60_000],
    ),
    "Conv with pads": lambda: one_node(
        "Conv",
        random(0, 3, 1, 4, 4),
        random(0, 1, 1, 2, 2),
        pads=[60_000, 60_000, 60_001, 60_001],
        strides=[60_000, 60_000],
    ),
    "Conv with dilation": lambda: one_node(
        "Conv",
        random(0, 3, 1, 4, 4),
        random(0, 1, 1, 2, 2),
        pads=[65_000] * 4,
        dilations=[65_000, 65_000],
    ),
    "MaxPool": lambda: one_node(
        "MaxPool",
        random(0, 3, 1, 4, 4),
        kernel_shape=[2, 2],
        pads=[60_000, 60_000, 60_001, 60_001],
        strides=[60_000, 60_000],
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_of_shapes_is_refused_before_it_is_allocated(name: str) -> None:
    """The shape is computed without values, and is too large."""
    graph = read(BOMBS[name]().SerializeToString())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(GraphError, match="expected"):
        output_shapes(graph, (128, *sizes(graph)), 128)

    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 << 10  # KiB


def sizes(graph: Graph) -> tuple[int, ...]:
    """Return the shape of one row."""
    return tuple(size or 0 for size in (graph.rows.shape or ())[1:])


BOMBS_WITHOUT_ROWS = {
    "ConstantOfShape": [
        helper.make_node("ConstantOfShape", ["big"], ["a"]),
        helper.make_node("Exp", ["a"], ["b"]),
        helper.make_node("ReduceSum", ["b"], ["c"], keepdims=0),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ],
    "Range": [
        helper.make_node("Range", ["zero", "huge", "one"], ["a"]),
        helper.make_node("Cast", ["a"], ["b"], to=1),
        helper.make_node("ReduceSum", ["b"], ["c"], keepdims=0),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ],
}


@pytest.mark.parametrize("name", BOMBS_WITHOUT_ROWS)
def test_a_bomb_that_needs_no_rows_is_refused_too(name: str) -> None:
    """Tensors of constants are limited as others are."""
    proto = model(
        BOMBS_WITHOUT_ROWS[name],
        inputs={"x": ["N", 4]},
        outputs=["y"],
        constants={
            "big": ints(1 << 20, 1 << 20),
            "zero": np.array(0),
            "one": np.array(1),
            "huge": np.array(HUGE),
        },
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(GraphError, match="expected at most"):
        output_shapes(read(proto.SerializeToString()), (3, 4), 3)

    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 << 10  # KiB


@pytest.mark.slow("counts a quarter of a million messages")
def test_many_small_messages_are_refused_before_they_are_parsed() -> None:
    """Two bytes each, they would become objects of a hundred."""
    empty = bytes([1 << 3 | 2, 0]) * (MAX_FIELDS + 1)  # nodes without fields
    graph = bytes([7 << 3 | 2]) + varint(len(empty)) + empty

    with pytest.raises(GraphError, match="fields"):
        read(graph)


def test_a_deep_message_is_refused_before_it_is_parsed() -> None:
    """Graphs inside attributes of nodes of graphs."""
    content = b""
    for number in [7, *[1, 5, 6] * 50][::-1]:
        content = bytes([number << 3 | 2]) + varint(len(content)) + content

    with pytest.raises(GraphError, match="deep"):
        read(content)


def varint(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    found = []
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


@pytest.mark.slow("reads 10,000 files")
def test_mutated_files_are_refused_in_one_line_or_are_graphs() -> None:
    """Nothing else happens, whatever bytes change, and memory stays bounded."""
    content = changed(lambda _: None)
    stored = to_onnx(separate(read(content)).graph).SerializeToString()
    draw = np.random.default_rng(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    messages: list[str] = []
    for i in range(10_000):
        mutated = mutate(content if i % 2 else stored, draw)
        try:
            if i % 2:
                graph = read(mutated)
                output_shapes(graph, (2, 4), 2)
                GraphNetwork(separate(graph).graph)
            else:
                read_stored(mutated, n_in=4, n_out=2, n_heads=2)
        except GraphError as error:
            messages.append(str(error))

    assert len(messages) > 2_000
    assert not [message for message in messages if "\n" in message]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 256 << 10  # KiB


def mutate(content: bytes, draw: np.random.Generator) -> bytes:
    """Change, remove, repeat or insert a few bytes."""
    changed = bytearray(content)
    for _ in range(int(draw.integers(1, 4))):
        at = int(draw.integers(len(changed)))
        what = draw.integers(5)
        if what == 0:
            changed[at] = int(draw.integers(256))
        elif what == 1:
            changed[at] ^= 1 << int(draw.integers(8))
        elif what == 2:
            del changed[at : at + int(draw.integers(1, 9))]
        elif what == 3:
            changed[at:at] = changed[at : at + int(draw.integers(1, 40))]
        else:
            changed[at:at] = draw.bytes(int(draw.integers(1, 9)))
    return bytes(changed)


def test_nothing_beside_the_file_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model with external data is refused without a look at its path."""
    paths: list[object] = []
    real = builtins.open

    def noting(path: Any, *others: Any, **options: Any) -> Any:
        paths.append(path)
        return real(path, *others, **options)

    monkeypatch.setattr(builtins, "open", noting)
    monkeypatch.setattr(io, "open", noting)  # of pathlib

    with pytest.raises(GraphError, match="external"):
        read(changed(external))

    assert paths == []
