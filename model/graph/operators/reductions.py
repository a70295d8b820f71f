"""Operators that reduce axes."""

from collections.abc import Callable

import torch
from torch import Tensor

from model.graph.operators.call import Operator, OperatorCall, inside, integers

_Reduction = Callable[[Tensor, list[int]], Tensor]


def _reduction(function: _Reduction) -> Operator:
    """Return an operator whose axes are an attribute or, in later opsets, an input."""

    def reduced(call: OperatorCall, x: Tensor, axes: Tensor | None = None) -> Tensor:
        chosen = call.integers("axes") or (integers(axes) if axes is not None else [])
        if not chosen:
            if call.integer("noop_with_empty_axes", 0):
                return x
            chosen = list(range(x.dim()))
        chosen = [inside(axis, x.dim()) for axis in chosen]
        result = function(x, chosen)  # keeps the axes, of size 1
        return result if call.integer("keepdims", 1) else result.squeeze(tuple(chosen))

    attributes = ("axes", "keepdims", "noop_with_empty_axes")
    return Operator(reduced, (1, 2), attributes, values=(1,))


def _product(x: Tensor, axes: list[int]) -> Tensor:
    for axis in axes:
        x = x.prod(dim=axis, keepdim=True)
    return x


REDUCTIONS = {
    "ReduceL1": _reduction(lambda x, axes: x.abs().sum(dim=axes, keepdim=True)),
    "ReduceL2": _reduction(
        lambda x, axes: x.square().sum(dim=axes, keepdim=True).sqrt()
    ),
    "ReduceLogSumExp": _reduction(
        lambda x, axes: torch.logsumexp(x, dim=axes, keepdim=True)
    ),
    "ReduceMax": _reduction(lambda x, axes: torch.amax(x, dim=axes, keepdim=True)),
    "ReduceMean": _reduction(lambda x, axes: x.mean(dim=axes, keepdim=True)),
    "ReduceMin": _reduction(lambda x, axes: torch.amin(x, dim=axes, keepdim=True)),
    "ReduceProd": _reduction(_product),
    "ReduceSum": _reduction(
        lambda x, axes: x.sum(dim=axes, keepdim=True, dtype=x.dtype)
    ),
    "ReduceSumSquare": _reduction(
        lambda x, axes: x.square().sum(dim=axes, keepdim=True)
    ),
}
