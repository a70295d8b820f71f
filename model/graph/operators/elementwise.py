"""Operators that compute each value by itself, with broadcasting."""

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional

from model.graph.operators.call import Operator, OperatorCall

# Above it softplus(t) equals t in float64.
_SOFTPLUS_THRESHOLD = 40.0


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return Operator(lambda _call, x: function(x), (1, 1))


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return Operator(lambda _call, x, y: function(x, y), (2, 2))


def _any_number(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return Operator(lambda _call, *xs: reduce(function, xs), (1, 1000))


def _divide(_call: OperatorCall, x: Tensor, y: Tensor) -> Tensor:
    if x.is_floating_point():
        return x / y
    return torch.div(x, y, rounding_mode="trunc")


def _power(_call: OperatorCall, x: Tensor, y: Tensor) -> Tensor:
    if x.is_floating_point() and y.dim() == 0 and y.device.type != "meta":
        return x ** float(y)  # its gradient in the exponent is not needed
    return (x**y).to(x.dtype)


def _modulo(call: OperatorCall, x: Tensor, y: Tensor) -> Tensor:
    return torch.fmod(x, y) if call.integer("fmod", 0) else torch.remainder(x, y)


def _leaky(call: OperatorCall, x: Tensor) -> Tensor:
    return functional.leaky_relu(x, call.number("alpha", 0.01))


def _elu(call: OperatorCall, x: Tensor) -> Tensor:
    return functional.elu(x, call.number("alpha", 1.0))


def _celu(call: OperatorCall, x: Tensor) -> Tensor:
    return functional.celu(x, call.number("alpha", 1.0))


def _selu(call: OperatorCall, x: Tensor) -> Tensor:
    alpha = call.number("alpha", 1.6732632423543772)
    gamma = call.number("gamma", 1.0507009873554805)
    return gamma * functional.elu(x, alpha)


def _gelu(call: OperatorCall, x: Tensor) -> Tensor:
    return functional.gelu(x, approximate=call.text("approximate", "none"))


def _hard_sigmoid(call: OperatorCall, x: Tensor) -> Tensor:
    alpha, beta = call.number("alpha", 0.2), call.number("beta", 0.5)
    return (alpha * x + beta).clamp(0, 1)


def _hard_swish(_call: OperatorCall, x: Tensor) -> Tensor:
    return x * (x / 6 + 0.5).clamp(0, 1)


def _apply_threshold(call: OperatorCall, x: Tensor) -> Tensor:
    return torch.where(x > call.number("alpha", 1.0), x, torch.zeros_like(x))


def _prelu(_call: OperatorCall, x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x < 0, x * slope, x)


def _softplus(_call: OperatorCall, x: Tensor) -> Tensor:
    return functional.softplus(x, threshold=_SOFTPLUS_THRESHOLD)


def _softmax(call: OperatorCall, x: Tensor) -> Tensor:
    return torch.softmax(x, call.integer("axis", -1))


def _log_softmax(call: OperatorCall, x: Tensor) -> Tensor:
    return torch.log_softmax(x, call.integer("axis", -1))


def _clip(
    _call: OperatorCall,
    x: Tensor,
    low: Tensor | None = None,
    high: Tensor | None = None,
) -> Tensor:
    if low is not None:
        x = torch.maximum(x, low.to(x.dtype))
    return x if high is None else torch.minimum(x, high.to(x.dtype))


def _where(_call: OperatorCall, condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return torch.where(condition, x, y)


def _mean(_call: OperatorCall, *xs: Tensor) -> Tensor:
    return reduce(torch.add, xs) / len(xs)


ELEMENTWISE = {
    "Abs": _unary(torch.abs),
    "Add": _binary(torch.add),
    "And": _binary(torch.logical_and),
    "Ceil": _unary(torch.ceil),
    "Celu": Operator(_celu, (1, 1), ("alpha",)),
    "Clip": Operator(_clip, (1, 3)),
    "Cos": _unary(torch.cos),
    "Div": Operator(_divide, (2, 2)),
    "Elu": Operator(_elu, (1, 1), ("alpha",)),
    "Equal": _binary(torch.eq),
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Floor": _unary(torch.floor),
    "Gelu": Operator(_gelu, (1, 1), ("approximate",)),
    "Greater": _binary(torch.gt),
    "GreaterOrEqual": _binary(torch.ge),
    "HardSigmoid": Operator(_hard_sigmoid, (1, 1), ("alpha", "beta")),
    "HardSwish": Operator(_hard_swish, (1, 1)),
    "Identity": _unary(lambda x: x),
    "LeakyRelu": Operator(_leaky, (1, 1), ("alpha",)),
    "Less": _binary(torch.lt),
    "LessOrEqual": _binary(torch.le),
    "Log": _unary(torch.log),
    "LogSoftmax": Operator(_log_softmax, (1, 1), ("axis",)),
    "Max": _any_number(torch.maximum),
    "Mean": Operator(_mean, (1, 1000)),
    "Min": _any_number(torch.minimum),
    "Mish": _unary(functional.mish),
    "Mod": Operator(_modulo, (2, 2), ("fmod",)),
    "Mul": _binary(torch.mul),
    "Neg": _unary(torch.neg),
    "Not": _unary(torch.logical_not),
    "Or": _binary(torch.logical_or),
    "PRelu": Operator(_prelu, (2, 2)),
    "Pow": Operator(_power, (2, 2)),
    "Reciprocal": _unary(torch.reciprocal),
    "Relu": _unary(torch.relu),
    "Round": _unary(torch.round),
    "Selu": Operator(_selu, (1, 1), ("alpha", "gamma")),
    "Sigmoid": _unary(torch.sigmoid),
    "Sign": _unary(torch.sign),
    "Sin": _unary(torch.sin),
    "Softmax": Operator(_softmax, (1, 1), ("axis",)),
    "Softplus": Operator(_softplus, (1, 1)),
    "Softsign": _unary(functional.softsign),
    "Sqrt": _unary(torch.sqrt),
    "Sub": _binary(torch.sub),
    "Sum": _any_number(torch.add),
    "Tan": _unary(torch.tan),
    "Tanh": _unary(torch.tanh),
    "ThresholdedRelu": Operator(_apply_threshold, (1, 1), ("alpha",)),
    "Where": Operator(_where, (3, 3)),
}
