from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from model.engine.runtime import InferenceSession
from model.graph import GraphNetwork, read
from model.graph.limits import output_shapes
from model.graph.operators import OPERATORS
from tests.model.graph.models import model, one_node, random

X = random(0, 3, 4)
POSITIVE = np.abs(X) + np.float32(0.5)
ROW = random(1, 4)
IMAGE, LINE = random(2, 3, 4, 7, 6), random(3, 3, 4, 9)
WEIGHT, BIAS = random(4, 6, 4, 3, 3), random(5, 6)
BACK = random(6, 4, 5, 3, 3)  # of a transposed convolution
CHANNELS = random(7, 4, 4)


def ints(*values: int) -> NDArray[np.int64]:
    """Return a tensor of integers."""
    return np.array(values, np.int64)


def single(value: float) -> NDArray[np.float32]:
    """Return a tensor without axes."""
    return np.array(value, np.float32)


@dataclass(frozen=True)
class Case:
    """One use of an operator: its inputs and its attributes."""

    op: str
    x: NDArray[np.float32] = field(default_factory=lambda: X)
    constants: tuple[NDArray[Any] | None, ...] = ()
    n_outputs: int = 1
    opset: int = 20
    attributes: dict[str, Any] = field(default_factory=dict)

    def model(self) -> ModelProto:
        """Return the model of this node."""
        return one_node(
            self.op,
            self.x,
            *self.constants,
            n_outputs=self.n_outputs,
            opset=self.opset,
            **self.attributes,
        )


def case(
    op: str,
    x: NDArray[np.float32] = X,
    *constants: NDArray[Any] | None,
    n_outputs: int = 1,
    opset: int = 20,
    **attributes: Any,
) -> Case:
    """Return a case with its constants and attributes written as arguments."""
    return Case(op, x, constants, n_outputs, opset, attributes)


UNARY = [
    case(op, POSITIVE if op in ("Log", "Sqrt", "Reciprocal") else 2 * X)
    for op in (
        *("Abs", "Ceil", "Cos", "Erf", "Exp", "Floor", "HardSwish", "Identity"),
        *("Log", "Mish", "Neg", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign"),
        *("Sin", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh", "Celu", "Elu"),
        *("Gelu", "HardSigmoid", "LeakyRelu", "LogSoftmax", "Selu", "Softmax"),
        *("ThresholdedRelu", "GlobalAveragePool", "GlobalMaxPool", "Max", "Mean"),
        *("Min", "Sum", "Flatten", "Transpose", "LpNormalization"),
    )
    if not op.startswith("Global")
]
ELEMENTWISE = [
    *UNARY,
    *(case(op, X, ROW) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Mean")),
    *(case(op, X, ROW, random(8, 3, 1)) for op in ("Sum", "Max", "Mean")),
    case("Pow", POSITIVE, single(2.0)),
    case("Pow", POSITIVE, ROW),
    case("Mod", 5 * X, POSITIVE[0], fmod=1),
    case("PRelu", X, np.abs(ROW)),
    case("Clip", X, single(-0.5), single(0.7)),
    case("Clip", X, None, single(0.1)),
    case("Celu", X, alpha=0.6),
    case("Elu", X, alpha=0.6),
    case("Gelu", X, approximate="tanh"),
    case("HardSigmoid", X, alpha=0.3, beta=0.4),
    case("LeakyRelu", X, alpha=0.2),
    case("Selu", X, alpha=1.5, gamma=1.1),
    case("ThresholdedRelu", X, alpha=0.3),
    case("Softmax", IMAGE, axis=1),
    case("LogSoftmax", IMAGE, axis=1),
]
LAYERS = [
    case("Gemm", X, random(9, 4, 5), random(10, 5)),
    case("Gemm", X, random(9, 5, 4), random(10, 5), transB=1),
    case("Gemm", X, random(9, 5, 4), random(10, 3, 5), transB=1, alpha=0.5, beta=2.0),
    case("Gemm", X, random(9, 3, 5), transA=1),
    case("MatMul", X, random(9, 4, 5)),
    case("MatMul", IMAGE, random(9, 6, 5)),
    case("Einsum", X, random(9, 4, 5), equation="ij,jk->ik"),
    case("Conv", IMAGE, WEIGHT, BIAS),
    case("Conv", IMAGE, WEIGHT, BIAS, pads=[1, 2, 0, 1], strides=[2, 1]),
    case("Conv", IMAGE, WEIGHT, pads=[1, 1, 1, 1], dilations=[2, 1]),
    case("Conv", IMAGE, random(4, 6, 2, 3, 3), BIAS, group=2, kernel_shape=[3, 3]),
    *(
        case("Conv", IMAGE, WEIGHT, auto_pad=how, strides=[2, 3])
        for how in ("SAME_UPPER", "SAME_LOWER", "VALID")
    ),
    case("Conv", LINE, random(4, 2, 4, 3), pads=[1, 0]),
    case("Conv", random(2, 2, 3, 4, 4, 5), random(4, 2, 3, 2, 2, 2)),
    case("ConvTranspose", IMAGE, BACK, random(5, 5)),
    case(
        "ConvTranspose",
        IMAGE,
        BACK,
        random(5, 5),
        pads=[1, 1, 1, 1],
        strides=[2, 2],
        output_padding=[1, 0],
    ),
    case("ConvTranspose", IMAGE, BACK, pads=[1, 0, 0, 1], strides=[2, 2]),
    case("ConvTranspose", IMAGE, BACK, group=2, dilations=[2, 1], strides=[3, 2]),
    case("ConvTranspose", IMAGE, BACK, strides=[2, 2], output_shape=[14, 12]),
    case("ConvTranspose", IMAGE, BACK, strides=[2, 2], auto_pad="SAME_UPPER"),
    case("ConvTranspose", IMAGE, BACK, strides=[2, 2], auto_pad="SAME_LOWER"),
    case("ConvTranspose", LINE, random(6, 4, 2, 4), strides=[2], pads=[1, 1]),
    case("MaxPool", IMAGE, kernel_shape=[2, 2], strides=[2, 2]),
    case("MaxPool", IMAGE, kernel_shape=[3, 2], pads=[1, 0, 2, 1], dilations=[1, 2]),
    case("MaxPool", IMAGE, kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER"),
    case("MaxPool", LINE, kernel_shape=[3]),
    case("AveragePool", IMAGE, kernel_shape=[2, 2], strides=[2, 2]),
    case("AveragePool", IMAGE, kernel_shape=[3, 2], pads=[1, 0, 2, 1]),
    case(
        "AveragePool",
        IMAGE,
        kernel_shape=[3, 3],
        pads=[1, 1, 1, 1],
        count_include_pad=1,
    ),
    case("GlobalAveragePool", IMAGE),
    case("GlobalMaxPool", LINE),
    case("BatchNormalization", IMAGE, *CHANNELS[:3], np.abs(CHANNELS[3]), epsilon=1e-3),
    case("BatchNormalization", X, *CHANNELS[:3], np.abs(CHANNELS[3])),
    case("LayerNormalization", X, *CHANNELS[:2]),
    case("LayerNormalization", IMAGE, random(11, 7, 6), axis=2, epsilon=1e-3),
    case("InstanceNormalization", IMAGE, *CHANNELS[:2]),
    case("GroupNormalization", IMAGE, *CHANNELS[:2], num_groups=2, opset=21),
    case("GroupNormalization", IMAGE, *CHANNELS[:2, :2], num_groups=2, epsilon=1e-3),
    case("LpNormalization", IMAGE, p=1, axis=1),
]
SHAPES = [
    case("Reshape", IMAGE, ints(0, -1)),
    case("Reshape", IMAGE, ints(0, 2, 2, -1)),
    case("Flatten", IMAGE, axis=2),
    case("Transpose", IMAGE, perm=[0, 2, 3, 1]),
    case("Squeeze", random(1, 3, 1, 4, 1), ints(1, -1)),
    case("Unsqueeze", X, ints(1, -1)),
    case("Concat", X, random(1, 3, 2), axis=-1),
    case("Split", X, ints(1, 3), n_outputs=2, axis=1),
    case("Split", random(1, 3, 5), n_outputs=3, axis=1, num_outputs=3),
    case("Slice", IMAGE, ints(1, -3), ints(100, 100), ints(2, 3), ints(2, 1)),
    case("Slice", X, ints(-1), ints(-1000), ints(1), ints(-2)),
    case("Gather", X, np.array([[0, -1], [2, 1]]), axis=1),
    case("Gather", X, np.array(2), axis=1),
    case("Expand", random(1, 3, 1), ints(2, 3, 4)),
    case("Tile", X, ints(1, 3)),
    case("Pad", IMAGE, ints(0, 0, 1, 2, 0, 0, 3, 0), single(0.5)),
    case("Pad", IMAGE, ints(1, 2, 3, 0), None, ints(2, 3), mode="reflect"),
    case("Pad", IMAGE, ints(1, -1), None, ints(3), mode="constant"),
    case("Pad", IMAGE, ints(0, 0, 1, 2, 0, 0, 3, 0), mode="edge"),
    case("DepthToSpace", IMAGE, blocksize=2),
    case("DepthToSpace", IMAGE, blocksize=2, mode="CRD"),
    case("SpaceToDepth", random(1, 2, 3, 4, 6), blocksize=2),
    case("Dropout", X),
    case("Cast", X, to=1),
]
REDUCTIONS = [
    *(case(op, IMAGE, ints(1, -1), opset=18) for op in OPERATORS if "Reduce" in op),
    *(case(op, X, opset=18) for op in OPERATORS if "Reduce" in op),
    case("ReduceMean", IMAGE, axes=[2, 3], keepdims=0, opset=17),
    case("ReduceSum", IMAGE, None, noop_with_empty_axes=1),
    case("ReduceMax", IMAGE, ints(2), keepdims=0),
]
COORDINATES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
RESIZES = [
    *(
        case(
            "Resize",
            random(2, 2, 3, 5, 4),
            None,
            np.array([1, 1, high, wide], np.float32),
            mode=mode,
            coordinate_transformation_mode=how,
        )
        for mode in ("nearest", "linear", "cubic")
        for how in COORDINATES
        for high, wide in ((2.0, 3.0), (0.6, 1.5))
    ),
    *(
        case("Resize", IMAGE, None, None, ints(3, 4, 11, 13), mode=mode)
        for mode in ("nearest", "linear", "cubic")
    ),
    *(
        case(
            "Resize",
            IMAGE,
            None,
            None,
            ints(3, 4, 11, 13),
            nearest_mode=how,
            coordinate_transformation_mode="asymmetric",
        )
        for how in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    ),
    case("Resize", IMAGE, None, None, ints(10, 9), axes=[2, 3], mode="linear"),
]
CASES = [*ELEMENTWISE, *LAYERS, *SHAPES, *REDUCTIONS, *RESIZES]


def names(cases: list[Case]) -> list[str]:
    """Return a name for each case."""
    return [f"{one.op}-{i}" for i, one in enumerate(cases)]


def network(built: ModelProto) -> GraphNetwork:
    """Return our own function of an ONNX model."""
    return GraphNetwork(read(built.SerializeToString()))


def onnx_runtime(built: ModelProto, x: NDArray[np.float32]) -> list[NDArray[Any]]:
    """Return the outputs of ONNX Runtime."""
    return _outputs(built.SerializeToString(), x.tobytes(), x.shape)


@cache  # its start takes longest, and two tests have the same cases
def _outputs(built: bytes, x: bytes, shape: tuple[int, ...]) -> list[NDArray[Any]]:
    rows = np.frombuffer(x, np.float32).reshape(shape)
    found: list[NDArray[Any]] = InferenceSession(built).run(None, {"x": rows})
    return found


@pytest.mark.parametrize("case", CASES, ids=names(CASES))
def test_an_operator_computes_what_onnx_runtime_does(case: Case) -> None:
    """Values of torch in float32 are those of an independent implementation."""
    built = case.model()
    wanted = onnx_runtime(built, case.x)

    got = network(built)(torch.from_numpy(case.x))

    assert len(got) == len(wanted)
    for ours, theirs in zip(got, wanted, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("case", CASES, ids=names(CASES))
def test_shapes_are_known_before_values(case: Case) -> None:
    """The check that allocates nothing finds the shapes of the results."""
    built = case.model()
    graph = read(built.SerializeToString())

    shapes = output_shapes(graph, case.x.shape, len(case.x))

    assert shapes == [y.shape for y in onnx_runtime(built, case.x)]


SMOOTH = [
    one
    for one in CASES
    if one.op not in ("Ceil", "Floor", "Round", "Sign", "Mod", "Expand")
]


@pytest.mark.parametrize("case", SMOOTH, ids=names(SMOOTH))
def test_the_gradient_of_an_operator_is_that_of_its_values(case: Case) -> None:
    """In float64, backpropagation agrees with differences along one direction."""
    function = network(case.model()).double()
    x = torch.from_numpy(case.x).double().requires_grad_()
    step = torch.from_numpy(random(99, *case.x.shape)).double()

    def total(at: torch.Tensor) -> torch.Tensor:
        outputs = function(at)
        weights = [torch.arange(y.numel()).double().mul(0.1).cos() for y in outputs]
        parts = [y.flatten() @ w for y, w in zip(outputs, weights, strict=True)]
        return torch.stack(parts).sum()

    (gradient,) = torch.autograd.grad(total(x), x)

    with torch.no_grad():
        h = 1e-6
        slope = (total(x + h * step) - total(x - h * step)) / (2 * h)
    assert float((gradient * step).sum()) == pytest.approx(
        float(slope), rel=1e-5, abs=1e-5
    )


def test_masks_and_shapes_are_computed_as_onnx_runtime_does() -> None:
    """Comparisons, logic, shapes and what is made of them."""
    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Shape", ["x"], ["shape"], {}),
        ("Shape", ["x"], ["n"], {"end": 1}),
        ("Size", ["n"], ["rank"], {}),
        ("Range", ["zero", "four", "two"], ["even"], {}),  # [0, 2]
        ("Gather", ["x", "even"], ["half"], {"axis": 1}),
        ("ConstantOfShape", ["shape"], ["ones"], {"value": tensor(1.0)}),
        ("ConstantOfShape", ["n"], ["zeros"], {}),
        ("Greater", ["x", "zeros_"], ["a"], {}),
        ("Less", ["x", "ones"], ["b"], {}),
        ("And", ["a", "b"], ["c"], {}),
        ("Not", ["c"], ["d"], {}),
        ("GreaterOrEqual", ["x", "zeros_"], ["e"], {}),
        ("LessOrEqual", ["x", "zeros_"], ["f"], {}),
        ("Equal", ["e", "f"], ["g"], {}),
        ("Or", ["d", "g"], ["h"], {}),
        ("Where", ["h", "x", "ones"], ["y"], {}),
        ("Cast", ["c"], ["mask"], {"to": 1}),
        ("CastLike", ["n", "x"], ["count"], {}),
        ("Div", ["y", "count"], ["share"], {}),
        ("Slice", ["shape", "one", "two_"], ["width"], {}),
        ("Concat", ["n", "width"], ["again"], {"axis": 0}),
        ("Mod", ["four", "two"], ["none"], {}),
        ("Gather", ["again", "zero"], ["rows"], {}),  # a single number
        ("Unsqueeze", ["rows", "one_"], ["rows_"], {}),
        ("Concat", ["rows_", "width"], ["final"], {"axis": 0}),
        ("Reshape", ["share", "final"], ["shaped"], {}),
    ]
    built = model(
        [helper.make_node(op, i, o, **a) for op, i, o, a in nodes],
        inputs={"x": ["N", 4]},
        outputs=["shaped", "mask", "half"],
        constants={
            "zero": np.array(0),
            "two": np.array(2),
            "four": np.array(4),
            "one": ints(1),
            "one_": ints(0),
            "two_": ints(2),
            "zeros_": single(0.0),
        },
    )

    got = network(built)(torch.from_numpy(X))

    for ours, theirs in zip(got, onnx_runtime(built, X), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6)


def tensor(value: float) -> TensorProto:
    """Return an attribute of one number."""
    return numpy_helper.from_array(np.array([value], np.float32))


def test_every_operator_of_the_list_is_tested() -> None:
    """By a case of its own, or in the model of masks and shapes."""
    composed = {
        *("And", "CastLike", "ConstantOfShape", "Equal", "Greater", "GreaterOrEqual"),
        *("Less", "LessOrEqual", "Not", "Or", "Range", "Shape", "Size", "Where"),
    }

    assert OPERATORS.keys() - {one.op for one in CASES} - composed == {
        "RMSNormalization"  # of opset 23, which ONNX Runtime may lack
    }


def test_the_documentation_has_their_number() -> None:
    """Who looks for an operator reads how many there are."""
    page = Path(__file__).parents[3] / "docs" / "your-own-model.md"

    assert f"{len(OPERATORS)} operators of ONNX" in page.read_text(encoding="utf-8")
