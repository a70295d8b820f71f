"""Compute the values of a graph with torch, node by node."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, final

import torch
from torch import Tensor

from model.graph.graph import Graph, GraphError, Node
from model.graph.operators import OPERATORS, Operator, OperatorCall

# What torch raises where an operator does not fit its inputs.
_MISFITS = (
    RuntimeError,
    ValueError,
    IndexError,
    TypeError,
    OverflowError,
    ZeroDivisionError,
    NotImplementedError,
    AssertionError,
)
_RANDOM = (
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
)
_CONTROL = ("If", "Loop", "Scan", "SequenceMap")


@final
class Step(NamedTuple):
    """
    One node, checked against the list of operators.

    Attributes:
        last: Values that no later node needs.
    """

    node: Node
    operator: Operator
    last: tuple[str, ...]


def steps(graph: Graph) -> tuple[Step, ...]:
    """
    Return what is to be computed, in order.

    Raises:
        GraphError: An operator is not on the list, or a node does not fit it.
    """
    needed = set(graph.outputs)
    found: list[Step] = []
    for node in reversed(graph.nodes):
        operator = _operator(node)
        here = [*node.inputs, *node.outputs]
        last = tuple(dict.fromkeys(n for n in here if n and n not in needed))
        needed.update(node.inputs)
        found.append(Step(node, operator, last))
    return tuple(reversed(found))


def _operator(node: Node) -> Operator:
    operator = OPERATORS.get(node.op)
    if operator is None:
        raise GraphError(f"{node}: {_why_not(node.op)}")
    unknown = sorted(node.attributes.keys() - operator.attributes)
    if unknown:
        raise GraphError(f"{node}: the attribute {unknown[0][:80]!r} is not served")
    if node.attributes.get("training_mode"):
        raise GraphError(
            f"{node}: it is in training mode, where a row depends on the other rows; "
            "export in eval mode (module.eval())"
        )
    least, most = operator.n_inputs
    if not least <= len(node.inputs) <= most:
        raise GraphError(
            f"{node}: expected {least} to {most} inputs, got {len(node.inputs)}"
        )
    if not all(node.inputs[:least]):
        raise GraphError(f"{node}: expected {least} inputs, one is not given")
    if any(node.outputs[operator.n_outputs :]) or not node.outputs[0]:
        raise GraphError(f"{node}: only its first output is served")
    return operator


def _why_not(op: str) -> str:
    if op in _RANDOM:
        return (
            "it is random, and an output that is kept depends on it; give the "
            "parameters of q(z|x) as outputs, not a draw"
        )
    if op in _CONTROL:
        return "control flow is not served; export a network without branches"
    return f"the operator is not one of the {len(OPERATORS)} that are served"


def compute(
    todo: Sequence[Step],
    values: Mapping[str, Tensor],
    outputs: Sequence[str],
    *,
    floating: torch.dtype,
    opset: int,
) -> tuple[Tensor, ...]:
    """
    Compute the outputs of a graph from the values of its inputs and constants.

    Args:
        values: By name.
        floating: The dtype of the rows.

    Raises:
        GraphError: A node does not fit its inputs.
    """
    known: dict[str, Tensor] = dict(values)
    for step in todo:
        node = step.node
        inputs = [known[name] if name else None for name in node.inputs]
        results = apply(step, OperatorCall(node, floating, opset), inputs)
        known.update(zip(node.outputs, results, strict=False))
        for name in step.last:
            known.pop(name, None)
    return tuple(known[name] for name in outputs)


def apply(
    step: Step, call: OperatorCall, inputs: Sequence[Tensor | None]
) -> Sequence[Tensor]:
    """
    Return the results of one operator.

    Raises:
        GraphError: It does not fit its inputs.
    """
    try:
        found = step.operator.function(call, *_together(step, inputs))
    except GraphError:
        raise
    except _MISFITS as error:
        why = str(error).strip().split("\n")[0][:300] or type(error).__name__
        raise GraphError(f"{step.node}: {why}") from error
    results = [found] if isinstance(found, Tensor) else list(found)
    if len(results) < len(step.node.outputs):
        raise GraphError(f"{step.node}: it has only {len(results)} outputs")
    return results


def _together(step: Step, inputs: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Move small tensors of integers to the device of the others."""
    data = [
        tensor
        for i, tensor in enumerate(inputs)
        if tensor is not None and i not in step.operator.values
    ]
    device = next((t.device for t in data if t.device.type != "cpu"), None)
    if device is None:
        return list(inputs)
    return [
        tensor if tensor is None or i in step.operator.values else tensor.to(device)
        for i, tensor in enumerate(inputs)
    ]
