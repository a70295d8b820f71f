"""
Check a graph before anything of its size is allocated.

The nodes are computed on torch's meta device, which has shapes and no values. Only
small tensors of integers, such as shapes, are computed.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from model.graph.evaluation import Step, apply, steps
from model.graph.graph import Array, Graph, GraphError, n_values
from model.graph.operators import OperatorCall

# Rows are computed at most so many at a time.
MAX_ROWS = 128
# Values of one example at a time. For 128 rows this is 4 GiB of float32.
MAX_VALUES = 1 << 23
# Products of two numbers for one example: some seconds on one core.
MAX_PRODUCTS = 1 << 34
# Values that a convolution unfolds for one example.
MAX_UNFOLDED = 1 << 26
# Values that do not depend on the rows.
MAX_KNOWN = 1 << 16
MAX_RANK = 8

_META = torch.device("meta")


def output_shapes(
    graph: Graph, rows: Sequence[int], n_rows: int
) -> list[tuple[int, ...]]:
    """
    Return the shapes of a graph's outputs for rows of a shape.

    Args:
        rows: The shape of the graph's first input.
        n_rows: The number of examples in it, at most MAX_ROWS.

    Raises:
        GraphError: An operator is not served, does not fit, or takes too much.
    """
    return _DryRun(graph, n_rows).shapes(rows)


@final
class _DryRun:
    """Computes a graph without values, and adds up what it takes."""

    def __init__(self, graph: Graph, n_rows: int) -> None:
        self._graph, self._n_rows = graph, n_rows
        self._n_products, self._n_alive = 0, 0

    def shapes(self, rows: Sequence[int]) -> list[tuple[int, ...]]:
        graph = self._graph
        known: dict[str, Tensor] = {
            name: _constant(values) for name, values in graph.constants.items()
        }
        known[graph.rows.name] = torch.empty(tuple(rows), device=_META)
        for weight in graph.weights:
            known[weight.name] = torch.empty(_shape(weight.shape), device=_META)
        for step in steps(graph):
            inputs = [known[name] if name else None for name in step.node.inputs]
            results = self._results(step, inputs)
            self._add(step, inputs, results)
            known.update(zip(step.node.outputs, results, strict=False))
            for name in step.last:
                self._n_alive -= _n_meta(known.pop(name, None))
        return [tuple(known[name].shape) for name in graph.outputs]

    def _results(self, step: Step, inputs: list[Tensor | None]) -> Sequence[Tensor]:
        """Return results without values, or with values if all inputs have them."""
        for i in step.operator.values:
            tensor = inputs[i] if i < len(inputs) else None
            if tensor is not None and tensor.is_meta:
                raise GraphError(
                    f"{step.node}: {step.node.inputs[i][:80]!r} depends on the rows, "
                    "expected a constant"
                )
        call = OperatorCall(step.node, torch.float32, self._graph.opset)
        hollow = [
            tensor if tensor is None or i in step.operator.values else tensor.to(_META)
            for i, tensor in enumerate(inputs)
        ]
        results = apply(step, call, hollow)
        self._check_sizes(step, results)
        if all(tensor is None or not tensor.is_meta for tensor in inputs):
            n = sum(tensor.numel() for tensor in results)
            if n > MAX_KNOWN:
                return [tensor.to(_META) for tensor in results]
            return apply(step, call, inputs)
        return results

    def _check_sizes(self, step: Step, results: Sequence[Tensor]) -> None:
        most = MAX_VALUES * MAX_ROWS
        for tensor in results:
            sizes = list(tensor.shape)
            if len(sizes) > MAX_RANK or min(sizes, default=0) < 0:
                raise GraphError(f"{step.node}: got the shape {sizes}")
            if n_values(sizes) > most:
                raise GraphError(
                    f"{step.node}: expected at most {most} values for {MAX_ROWS} "
                    f"examples, got the shape {sizes}"
                )

    def _add(
        self,
        step: Step,
        inputs: Sequence[Tensor | None],
        results: Sequence[Tensor],
    ) -> None:
        self._n_alive += sum(map(_n_meta, results))
        self._n_products += _n_products(step, inputs, results)
        unfolded = _n_unfolded(step, inputs, results)
        for n, most, what in (
            (self._n_alive, MAX_VALUES, "values at a time"),
            (self._n_products, MAX_PRODUCTS, "products"),
            (unfolded, MAX_UNFOLDED, "unfolded values"),
        ):
            if n > most * MAX_ROWS:
                raise GraphError(
                    f"{step.node}: expected at most {most} {what} for an example, "
                    f"got {n // self._n_rows}"
                )


def _constant(values: Array) -> Tensor:
    if values.size > MAX_KNOWN:
        return torch.empty(
            values.shape, dtype=torch.from_numpy(values[:0]).dtype, device=_META
        )
    return torch.from_numpy(values)


def _shape(shape: tuple[int | None, ...] | None) -> tuple[int, ...]:
    return tuple(size or 0 for size in shape or ())


def _n_meta(tensor: Tensor | None) -> int:
    return tensor.numel() if tensor is not None and tensor.is_meta else 0


def _n_products(
    step: Step, inputs: Sequence[Tensor | None], results: Sequence[Tensor]
) -> int:
    """Return the number of products of two numbers, at least one for each value."""
    n = sum(tensor.numel() for tensor in results)
    if step.node.op in ("Conv", "ConvTranspose"):
        return n + _n_convolved(step, inputs, results)
    if step.node.op in ("MatMul", "Gemm"):
        x = inputs[0]
        is_turned = step.node.op == "Gemm" and step.node.attributes.get("transA")
        return n * (1 if x is None else x.shape[0 if is_turned else -1])
    if step.node.op == "Einsum":
        return n + _n_summed(step, inputs)
    return n


def _n_convolved(
    step: Step, inputs: Sequence[Tensor | None], results: Sequence[Tensor]
) -> int:
    x, w = inputs[:2]
    if x is None or w is None:
        return 0
    at = results[0] if step.node.op == "Conv" else x
    return at.numel() * n_values(w.shape[1:])


def _n_unfolded(
    step: Step, inputs: Sequence[Tensor | None], results: Sequence[Tensor]
) -> int:
    """Return the size of the matrix that a convolution may multiply."""
    if step.node.op not in ("Conv", "ConvTranspose"):
        return 0
    x = inputs[0]
    at = results[0] if step.node.op == "Conv" or x is None else x
    n_channels = at.shape[1] if at.dim() > 1 else 1
    return _n_convolved(step, inputs, results) // max(1, n_channels)


def _n_summed(step: Step, inputs: Sequence[Tensor | None]) -> int:
    """Return the product of the sizes of all letters of an equation."""
    equation = str(step.node.attributes.get("equation", ""))
    letters = equation.replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for word, tensor in zip(letters, inputs, strict=False):
        if tensor is not None and len(word) == tensor.dim() and word.isalpha():
            sizes.update(zip(word, tensor.shape, strict=True))
        else:
            raise GraphError(f"{step.node}: expected letters only, got {equation!r}")
    return n_values(list(sizes.values()))
