"""Matrix products, convolutions, pooling and normalizations."""

import torch
from torch import Tensor
from torch.nn import functional

from model.graph.graph import GraphError
from model.graph.operators.call import Operator, OperatorCall, axis_of
from model.graph.operators.padding import (
    Window,
    cut_sides,
    pad_sides,
    window,
    window_of_transpose,
)

_CONVOLUTIONS = (functional.conv1d, functional.conv2d, functional.conv3d)
_TRANSPOSES = (
    functional.conv_transpose1d,
    functional.conv_transpose2d,
    functional.conv_transpose3d,
)
_MAX_POOLS = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)
_AVERAGE_POOLS = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)


def _gemm(call: OperatorCall, x: Tensor, w: Tensor, c: Tensor | None = None) -> Tensor:
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    x = x.mT if call.integer("transA", 0) else x
    if alpha == beta == 1.0 and (c is None or c.dim() == 1):
        return functional.linear(x, w if call.integer("transB", 0) else w.mT, c)
    product = alpha * (x @ (w.mT if call.integer("transB", 0) else w))
    return product if c is None else product + beta * c


def _matmul(_call: OperatorCall, x: Tensor, y: Tensor) -> Tensor:
    return x @ y


def _einsum(call: OperatorCall, *xs: Tensor) -> Tensor:
    return torch.einsum(call.text("equation", ""), *xs)


def _n_spatial(call: OperatorCall, w: Tensor) -> int:
    n = w.dim() - 2
    if not 1 <= n <= 3:
        raise GraphError(f"{call.node}: expected one to three spatial axes, got {n}")
    return n


def _conv(call: OperatorCall, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    n = _n_spatial(call, w)
    over = window(call, x, w.shape[2:])
    x, padding = pad_sides(x, over, value=0.0)
    function = _CONVOLUTIONS[n - 1]
    group = call.integer("group", 1)
    return function(x, w, b, over.strides, padding, over.dilations, group)


def _conv_transpose(
    call: OperatorCall, x: Tensor, w: Tensor, b: Tensor | None = None
) -> Tensor:
    n = _n_spatial(call, w)
    over, extra = window_of_transpose(call, x, w)
    function = _TRANSPOSES[n - 1]
    group = call.integer("group", 1)
    if over.begin == over.end:
        return function(x, w, b, over.strides, over.begin, extra, group, over.dilations)
    y = function(x, w, b, over.strides, 0, extra, group, over.dilations)
    return cut_sides(y, over)


def _max_pool(call: OperatorCall, x: Tensor) -> Tensor:
    call.expect("ceil_mode", 0)
    over = _pool(call, x)
    x, padding = pad_sides(x, over, value=-torch.inf, symmetric=False)
    function = _MAX_POOLS[len(over.kernel) - 1]
    return function(x, over.kernel, over.strides, padding, over.dilations)


def _average_pool(call: OperatorCall, x: Tensor) -> Tensor:
    call.expect("ceil_mode", 0)
    over = _pool(call, x)
    if over.dilations != [1] * len(over.kernel):
        raise GraphError(f"{call.node}: expected dilations of 1")
    function = _AVERAGE_POOLS[len(over.kernel) - 1]
    padded, padding = pad_sides(x, over, value=0.0, symmetric=False)
    mean = function(padded, over.kernel, over.strides, padding)
    if call.integer("count_include_pad", 0):
        return mean
    ones, _ = pad_sides(torch.ones_like(x[:1, :1]), over, value=0.0, symmetric=False)
    return mean / function(ones, over.kernel, over.strides, padding)


def _pool(call: OperatorCall, x: Tensor) -> Window:
    kernel = call.sizes("kernel_shape", _n_spatial(call, x), default=0, least=1)
    return window(call, x, torch.Size(kernel))


def _global(name: str) -> Operator:
    def pooled(_call: OperatorCall, x: Tensor) -> Tensor:
        axes = list(range(2, x.dim()))
        if name == "max":
            return torch.amax(x, dim=axes, keepdim=True)
        return x.mean(dim=axes, keepdim=True)

    return Operator(pooled, (1, 1))


def _batch_norm(
    call: OperatorCall,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
) -> Tensor:
    scale = weight / torch.sqrt(var + call.number("epsilon", 1e-5))
    shape = [-1] + [1] * (x.dim() - 2)
    return x * scale.reshape(shape) + (bias - mean * scale).reshape(shape)


def _layer_norm(
    call: OperatorCall, x: Tensor, scale: Tensor, bias: Tensor | None = None
) -> Tensor:
    shape = x.shape[axis_of(call, x, -1) :]
    y = functional.layer_norm(x, shape, eps=call.number("epsilon", 1e-5)) * scale
    return y if bias is None else y + bias


def _rms_norm(call: OperatorCall, x: Tensor, scale: Tensor) -> Tensor:
    axes = list(range(axis_of(call, x, -1), x.dim()))
    square = x.square().mean(dim=axes, keepdim=True)
    return x / torch.sqrt(square + call.number("epsilon", 1e-5)) * scale


def _instance_norm(
    call: OperatorCall, x: Tensor, scale: Tensor, bias: Tensor
) -> Tensor:
    return functional.group_norm(
        x, x.shape[1], scale, bias, call.number("epsilon", 1e-5)
    )


def _group_norm(call: OperatorCall, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    groups = call.positive("num_groups")
    if call.opset < 21:  # one scale for a group, later one for a channel
        each = x.shape[1] // groups
        scale, bias = (part.repeat_interleave(each) for part in (scale, bias))
    return functional.group_norm(x, groups, scale, bias, call.number("epsilon", 1e-5))


def _lp_norm(call: OperatorCall, x: Tensor) -> Tensor:
    p, axis = call.integer("p", 2), axis_of(call, x, -1)
    if p not in (1, 2):
        raise GraphError(f"{call.node}: expected p of 1 or 2, got {p}")
    length: Tensor = torch.linalg.vector_norm(x, p, dim=axis, keepdim=True)
    return x / length


_WINDOW = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")
_CONVOLVED = (*_WINDOW, "group")

LAYERS = {
    "AveragePool": Operator(
        _average_pool, (1, 1), (*_WINDOW, "ceil_mode", "count_include_pad")
    ),
    "BatchNormalization": Operator(
        _batch_norm, (5, 5), ("epsilon", "momentum", "training_mode")
    ),
    "Conv": Operator(_conv, (2, 3), _CONVOLVED),
    "ConvTranspose": Operator(
        _conv_transpose, (2, 3), (*_CONVOLVED, "output_padding", "output_shape")
    ),
    "Einsum": Operator(_einsum, (1, 2), ("equation",)),
    "Gemm": Operator(_gemm, (2, 3), ("alpha", "beta", "transA", "transB")),
    "GlobalAveragePool": _global("mean"),
    "GlobalMaxPool": _global("max"),
    "GroupNormalization": Operator(
        _group_norm, (3, 3), ("epsilon", "num_groups", "stash_type")
    ),
    "InstanceNormalization": Operator(_instance_norm, (3, 3), ("epsilon",)),
    "LayerNormalization": Operator(
        _layer_norm, (2, 3), ("axis", "epsilon", "stash_type")
    ),
    "LpNormalization": Operator(_lp_norm, (1, 1), ("axis", "p")),
    "MatMul": Operator(_matmul, (2, 2)),
    "MaxPool": Operator(_max_pool, (1, 1), (*_WINDOW, "ceil_mode", "storage_order")),
    "RMSNormalization": Operator(_rms_norm, (2, 2), ("axis", "epsilon", "stash_type")),
}
